import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts";
import type { StatementClass } from "../../core/plan/database.ts";
import { FIELDS, FUNCTIONS, NODES, TYPES } from "./postgres-allowed.ts";
import { parsePostgres, SqlSyntaxError } from "./postgres-parser.ts";
import { inSchema, type ParsedStatement, type ReadStatement, textFault, withoutEnd } from "./statement.ts";

/**
 * Reads one statement by PostgreSQL's own grammar and walks every node of it: one SELECT, VALUES, INSERT, UPDATE or
 * DELETE, of known parts alone. A WITH may read; one that changes data is refused, as it would hide a write in a read.
 * The parser must be loaded. `functions` are additional ones that a manifest allows.
 *
 * @param schema where names without a schema are looked up
 */
export function readPostgres(
  given: string,
  schema: string,
  functions: readonly string[] = [],
): ReadStatement {
  return inSchema(parseStatement(given, functions), schema);
}

/** The same, whatever the schema. Of a long statement this takes tens of milliseconds. */
export function parseStatement(given: string, functions: readonly string[]): ParsedStatement {
  const fault = textFault(given);
  if (fault !== null) return { ok: false, message: fault };
  const text = withoutEnd(given);
  try {
    const walk = new Walk(new Set(functions));
    const kind = walk.root(parsePostgres(text));
    return {
      ok: true,
      statement: {
        text,
        class: kind,
        tables: [...walk.tables.values()],
        parameters: walk.parameterCount(),
        returns: kind === "select" || walk.returning,
      },
    };
  } catch (thrown) {
    if (thrown instanceof Refused) return { ok: false, message: thrown.message };
    if (thrown instanceof SqlSyntaxError) return { ok: false, message: "the statement is not valid sql" };
    return { ok: false, message: "the statement could not be read" };
  }
}

class Refused extends Error {}

const CLASSES: Readonly<Record<string, StatementClass>> = {
  SelectStmt: "select",
  InsertStmt: "insert",
  UpdateStmt: "update",
  DeleteStmt: "delete",
};

/** Names that a WITH has bound, innermost last. */
type Scope = ReadonlySet<string>;
const NOTHING: Scope = new Set();
const DEEPEST = 200;

class Walk {
  readonly tables = new Map<string, { readonly schema: string | null; readonly name: string }>();
  returning = false;
  private readonly functions: ReadonlySet<string>;
  private readonly parameters = new Set<number>();
  private depth = 0;

  constructor(functions: ReadonlySet<string>) {
    this.functions = functions;
  }

  root(tree: Json): StatementClass {
    const statements = isJsonObject(tree) && Array.isArray(tree.stmts) ? tree.stmts : [];
    if (statements.length === 0) throw new Refused("there is no statement");
    if (statements.length > 1) throw new Refused("there is more than one statement");
    const [first] = statements;
    const raw = isJsonObject(first) ? first.stmt : undefined;
    const [tag, node] = tagged(raw) ?? ["nothing", {}];
    const kind = Object.hasOwn(CLASSES, tag) ? CLASSES[tag] : undefined;
    if (kind === undefined) throw new Refused(`${tag} is not select, insert, update or delete`);
    this.statement(node, NOTHING);
    return kind;
  }

  /** `$1` to `$n`, each used: otherwise values would be bound to other places than they seem. */
  parameterCount(): number {
    const count = this.parameters.size;
    for (let i = 1; i <= count; i++)
      if (!this.parameters.has(i)) throw new Refused("the parameters are not $1 to $n, each used");
    return count;
  }

  /** A SELECT, INSERT, UPDATE or DELETE, with its WITH. */
  private statement(node: JsonObject, outer: Scope): void {
    if (node.intoClause !== undefined) throw new Refused("select into makes a table");
    if (node.lockingClause !== undefined) throw new Refused("a select that locks rows is no read");
    if (node.returningClause !== undefined || node.returningList !== undefined) this.returning = true;
    const scope = node.withClause === undefined ? outer : this.common(node.withClause, outer);
    for (const [field, value] of Object.entries(node)) {
      if (field === "withClause") continue;
      // The table that is changed is always a table, even where a WITH has bound its name.
      if (field === "relation") this.table(value, NOTHING);
      else if ((field === "larg" || field === "rarg") && isJsonObject(value)) this.nested(value, scope);
      else this.member(field, value, scope);
    }
  }

  private nested(node: JsonObject, scope: Scope): void {
    this.deeper(() => this.statement(node, scope));
  }

  /** A WITH: each name is bound for those after it; with RECURSIVE for all of them. */
  private common(clause: Json, outer: Scope): Scope {
    const { ctes, recursive } = isJsonObject(clause) ? clause : {};
    if (!Array.isArray(ctes)) throw new Refused("the with clause is not known");
    const expressions = ctes.map((cte) => {
      const [tag, node] = tagged(cte) ?? ["", {}];
      if (tag !== "CommonTableExpr" || typeof node.ctename !== "string")
        throw new Refused("the with clause is not known");
      if (node.search_clause !== undefined || node.cycle_clause !== undefined)
        throw new Refused("search and cycle clauses are not allowed");
      return { name: node.ctename, query: node.ctequery };
    });
    const bound = new Set(outer);
    if (recursive === true) for (const { name } of expressions) bound.add(name);
    for (const { name, query } of expressions) {
      const [tag, node] = tagged(query) ?? ["", {}];
      if (tag !== "SelectStmt") throw new Refused("a with clause that changes data is not allowed");
      this.nested(node, new Set(bound));
      bound.add(name);
    }
    return bound;
  }

  private member(field: string, value: Json | undefined, scope: Scope): void {
    if (Array.isArray(value)) {
      for (const item of value) this.member(field, item, scope);
      return;
    }
    if (!isJsonObject(value ?? null)) return;
    const object = value as JsonObject; // checked in the line before
    const node = tagged(object);
    if (node !== null) this.node(node[0], node[1], scope);
    else if (FIELDS.has(field)) this.fields(field, object, scope);
    else if (Object.keys(object).length > 0) throw new Refused(`${field} is not allowed here`);
  }

  private node(tag: string, node: JsonObject, scope: Scope): void {
    if (tag === "SelectStmt") {
      this.nested(node, scope);
      return;
    }
    if (!NODES.has(tag)) throw new Refused(`${tag} is not allowed`);
    if (tag === "RangeVar") this.table(node, scope);
    else if (tag === "FuncCall") this.call(node);
    else if (tag === "ParamRef") this.parameters.add(typeof node.number === "number" ? node.number : 0);
    else if ([node.name, node.operName, node.useOp].some((one) => names(one).length > 1))
      throw new Refused("an operator with a schema is not allowed");
    this.fields(tag, node, scope);
  }

  private fields(name: string, node: JsonObject, scope: Scope): void {
    if (name === "typeName") this.type(node);
    this.deeper(() => {
      for (const [field, value] of Object.entries(node)) this.member(field, value, scope);
    });
  }

  private table(value: Json | undefined, scope: Scope): void {
    const node = isJsonObject(value ?? null) ? (value as JsonObject) : {}; // checked in the same line
    const { relname, schemaname, catalogname } = node;
    if (typeof relname !== "string" || catalogname !== undefined)
      throw new Refused("a table of another database");
    if (schemaname === undefined && scope.has(relname)) return;
    const schema = typeof schemaname === "string" ? schemaname : null;
    this.tables.set(JSON.stringify([schema, relname]), { schema, name: relname });
  }

  private call(node: JsonObject): void {
    const path = names(node.funcname);
    const name = path.at(-1) ?? "";
    const known = path.length === 1 || (path.length === 2 && path[0] === "pg_catalog");
    if (known ? !FUNCTIONS.has(name) && !this.functions.has(name) : !this.functions.has(path.join(".")))
      throw new Refused(`the function ${shown(path.join("."))} is not allowed`);
  }

  private type(node: JsonObject): void {
    const path = names(node.names);
    const name = path.at(-1) ?? "";
    const known = path.length === 1 || (path.length === 2 && path[0] === "pg_catalog");
    if (!known || !TYPES.has(name)) throw new Refused(`the type ${shown(path.join("."))} is not allowed`);
  }

  private deeper(walk: () => void): void {
    this.depth++;
    if (this.depth > DEEPEST) throw new Refused(`the statement is nested more than ${DEEPEST} levels deep`);
    walk();
    this.depth--;
  }
}

/** `{Tag: node}` as a pair; null for anything else. Nodes are named in upper case, members in lower case. */
function tagged(value: Json | undefined): readonly [tag: string, node: JsonObject] | null {
  if (value === undefined || !isJsonObject(value)) return null;
  const entries = Object.entries(value);
  const [entry] = entries;
  if (entry === undefined || entries.length !== 1 || !/^[A-Z]/.test(entry[0])) return null;
  return isJsonObject(entry[1]) ? [entry[0], entry[1]] : null;
}

/** The texts of a list of String nodes. */
function names(list: Json | undefined): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.map((item) => {
    const node = tagged(item);
    const text = node?.[0] === "String" ? node[1].sval : undefined;
    if (typeof text !== "string") throw new Refused("a name is not known");
    return text;
  });
}

/** A name that an agent chose, for a message. */
function shown(name: string): string {
  return /^[A-Za-z0-9_.]{1,64}$/.test(name) ? name : "with this name";
}
