/**
 * A statement can run a function without the form of a call: `row.name` is `name(row)` where the row has no such column,
 * an operator is a function, and a function in the connection's schema can be taken for one of pg_catalog with the same
 * name. Which of them exist only the server knows.
 */

/** What a server has of these that may change something; one row of {@link REACHABLE}. */
export interface Reachable {
  /** Process id of the server's end of the connection. */
  readonly pid: number;
  /** JSON list of the names of functions that take one row. */
  readonly row: string;
  /** JSON list of the names of functions that pg_catalog has as well. */
  readonly same: string;
  /** JSON list of operators. */
  readonly operators: string;
}

/**
 * Only those that a name without a schema leads to, and only volatile ones: the server lets no other change anything.
 * A function that is volatile because nobody said otherwise counts too.
 */
export const REACHABLE = `with f as (
  select p.oid, p.proname, p.proargtypes[0] argument, p.pronargs - p.pronargdefaults needed, p.pronargs given
  from pg_catalog.pg_proc p
  where p.pronamespace <> 'pg_catalog'::regnamespace and p.provolatile = 'v' and p.prokind in ('f', 'a', 'w')
    and pg_catalog.pg_function_is_visible(p.oid)
)
select pg_catalog.pg_backend_pid() pid,
  (select coalesce(pg_catalog.json_agg(f.proname), '[]')::text from f join pg_catalog.pg_type t on t.oid = f.argument
    where f.given > 0 and f.needed <= 1 and t.typtype in ('c', 'd', 'p') and not exists (
      select from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attname = f.proname and not a.attisdropped)) "row",
  (select coalesce(pg_catalog.json_agg(f.proname), '[]')::text from f where exists (
    select from pg_catalog.pg_proc c
    where c.proname = f.proname and c.pronamespace = 'pg_catalog'::regnamespace)) same,
  (select coalesce(pg_catalog.json_agg(o.oprname), '[]')::text
    from pg_catalog.pg_operator o join pg_catalog.pg_proc p on p.oid = o.oprcode
    where o.oprnamespace <> 'pg_catalog'::regnamespace and p.provolatile = 'v'
      and pg_catalog.pg_operator_is_visible(o.oid)) operators`;

/** PostgreSQL cuts longer names off: what follows is part of the text and not of the name. */
const LONGEST_NAME_BYTES = 63;
/** Operators that IN, BETWEEN, CASE, NULLIF, USING and LIKE stand for. */
const WITHOUT_SIGN: ReadonlySet<string> = new Set("= <> < <= > >= ~~ !~~ ~~* !~~*".split(" "));
/** Characters of a name (PostgreSQL 4.1.1), in the form of a class. */
const IN_NAME = "[a-z0-9_$\\u0080-\\uffff]";

/**
 * Whether a statement, which the planner has found to call functions of its list alone, may run one of these all the
 * same. In doubt it does: a name in a string or a comment counts.
 */
export function mayRunUnseen(statement: string, reachable: Omit<Reachable, "pid">): boolean {
  const row = listOf(reachable.row);
  const same = listOf(reachable.same);
  const text = statement.toLowerCase();
  // U&"…" spells a name in escapes.
  if (text.includes("u&") && row.length + same.length > 0) return true;
  return (
    // With a bracket behind it a name is a call, which the planner has judged.
    row.some((name) => pattern(name, '"?(?!\\s*\\()(?!")').test(text)) ||
    same.some((name) => pattern(name, '"?\\s*(?:\\(|--|/\\*)', "(?<!pg_catalog\\.)").test(text)) ||
    listOf(reachable.operators).some((sign) => WITHOUT_SIGN.has(sign) || text.includes(sign))
  );
}

function listOf(json: string): readonly string[] {
  return JSON.parse(json) as string[]; // written by REACHABLE
}

/** A name of the server, where no other character of a name stands around it. */
function pattern(name: string, behind: string, before = ""): RegExp {
  const whole = RegExp.escape(name.toLowerCase().replaceAll('"', '""'));
  const end = Buffer.byteLength(name) < LONGEST_NAME_BYTES ? `(?!${IN_NAME})` : "";
  return new RegExp(`${before}(?<!${IN_NAME})${whole}${end}${behind}`);
}
