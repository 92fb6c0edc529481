import type { StatementClass } from "../../core/plan/database.ts";
import { type ReadStatement, textFault, withoutEnd } from "./statement.ts";

/**
 * Reads one statement of SQLite: its tokens, not its grammar. The first word that stands outside of any bracket and is a
 * verb gives the class; every function must be known; nothing that opens files or changes the session may occur. Which
 * tables it opens, and whether it writes, is what SQLite's own byte code says, before it runs (host/database).
 */
export function readSqlite(given: string, functions: readonly string[] = []): ReadStatement {
  const fault = textFault(given);
  if (fault !== null) return { ok: false, message: fault };
  const text = withoutEnd(given);
  const tokens = tokensOf(text);
  if (typeof tokens === "string") return { ok: false, message: tokens };
  const refusal = tokenFault(tokens, new Set(functions));
  if (refusal !== null) return { ok: false, message: refusal };
  const kind = classOf(tokens);
  if (kind === null) return { ok: false, message: "the statement is not select, insert, update or delete" };
  const used = new Set(tokens.filter(({ kind: one }) => one === "parameter").map(({ text: one }) => one));
  for (let i = 1; i <= used.size; i++)
    if (!used.has(`$${i}`)) return { ok: false, message: "the parameters are not $1 to $n, each used" };
  const returns = kind === "select" || tokens.some((token) => isWord(token, "RETURNING"));
  return { ok: true, statement: { text, class: kind, tables: [], parameters: used.size, returns } };
}

interface Token {
  readonly kind: "word" | "quoted" | "string" | "number" | "parameter" | "sign";
  readonly text: string;
  readonly depth: number;
}

/**
 * SQLite's lexical grammar (sqlite.org/lang.html), one alternative each: blanks, comments, strings, the three kinds of
 * quoted names, numbers, parameters, words, signs.
 */
const TOKEN =
  /([ \t\n\f\r]+)|(--[^\n]*)|(\/\*(?:[^*]|\*(?!\/))*\*\/)|([xX]?'(?:[^']|'')*')|("(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])|(\d[\w.]*|\.\d\w*)|([$@:?#][\w:]*)|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|([()])|([-+*/%<>=!|&~,.;])/y;

function tokensOf(text: string): readonly Token[] | string {
  const tokens: Token[] = [];
  let depth = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return "the statement has a character or an open quote that sql does not";
    const [all, blank, line, block, string, quoted, number, parameter, word, bracket] = match;
    if (blank !== undefined || line !== undefined || block !== undefined) continue;
    if (all === "/" && text[TOKEN.lastIndex] === "*") return "the statement has an open comment";
    if (bracket === ")") depth--;
    const kind: Token["kind"] =
      string !== undefined
        ? "string"
        : quoted !== undefined
          ? "quoted"
          : number !== undefined
            ? "number"
            : parameter !== undefined
              ? "parameter"
              : word !== undefined
                ? "word"
                : "sign";
    tokens.push({ kind, text: all, depth });
    if (bracket === "(") depth++;
  }
  return tokens;
}

const REFUSED_WORDS: ReadonlySet<string> = new Set([
  "ALTER",
  "ANALYZE",
  "ATTACH",
  "BEGIN",
  "COMMIT",
  "CREATE",
  "DETACH",
  "DROP",
  "EXPLAIN",
  "PRAGMA",
  "REINDEX",
  "RELEASE",
  "ROLLBACK",
  "SAVEPOINT",
  "VACUUM",
]);

const CHANGES: ReadonlySet<string> = new Set(["INSERT", "UPDATE", "DELETE"]);

/** Words of the grammar that may stand before a bracket without being a function. */
const BEFORE_BRACKET: ReadonlySet<string> = new Set(
  `ALL AND AS BETWEEN BY CASE CHECK CONFLICT DISTINCT ELSE ESCAPE EXCEPT EXISTS FILTER FROM GLOB GROUP HAVING IN INTERSECT
  INTO IS ISNULL JOIN LIKE LIMIT MATERIALIZED NOT NOTNULL OFFSET ON OR ORDER OVER PARTITION RETURNING SELECT SET THEN
  UNION USING VALUES WHEN WHERE WINDOW`.split(/\s+/),
);

const FUNCTIONS: ReadonlySet<string> = new Set(
  `abs avg cast ceil char coalesce concat concat_ws count cume_dist date datetime dense_rank exp first_value floor format
  glob group_concat hex ifnull iif instr json json_array json_array_length json_extract json_group_array json_group_object
  json_object json_type json_valid julianday lag last_value lead length like ln log log10 lower ltrim max min mod
  nth_value ntile nullif octet_length percent_rank pi pow power printf quote rank replace round row_number rtrim sign sqrt
  strftime string_agg substr substring sum time timediff total trim trunc typeof unhex unicode unixepoch upper`.split(
    /\s+/,
  ),
);

function tokenFault(tokens: readonly Token[], functions: ReadonlySet<string>): string | null {
  const named = tableNames(tokens);
  for (const [i, token] of tokens.entries()) {
    if (token.text === ";") return "there is more than one statement";
    if (token.kind === "word" && REFUSED_WORDS.has(token.text.toUpperCase()))
      return `${token.text.toUpperCase()} is not allowed`;
    // SQLite takes a bracket right behind a parameter as part of its name.
    const bracket = tokens[i + 1]?.text === "(";
    if (token.kind === "parameter" && (bracket || !/^\$[1-9]\d{0,2}$/.test(token.text)))
      return "a parameter is not $1, $2 …";
    if (token.kind === "word" && tokens[i - 1]?.text === "(" && CHANGES.has(token.text.toUpperCase()))
      return "a change inside of another statement is not allowed";
    const name =
      token.kind === "word" || token.kind === "quoted" || token.kind === "string" ? token.text : null;
    if (name === null || tokens[i + 1]?.text !== "(" || named.has(i)) continue;
    if (token.kind === "word" && BEFORE_BRACKET.has(name.toUpperCase())) continue;
    const known =
      token.kind === "word" && (FUNCTIONS.has(name.toLowerCase()) || functions.has(name.toLowerCase()));
    if (!known) return "a function that is not allowed";
  }
  return null;
}

/** Where a name with a list of columns behind it stands: `WITH name (…)`, `, name (…) AS`, `INTO name (…)`. */
function tableNames(tokens: readonly Token[]): ReadonlySet<number> {
  const found = new Set<number>();
  const closes = closingBrackets(tokens);
  for (const i of tokens.keys()) {
    const after = tokens[i + 1];
    if (after?.text !== "(") continue;
    const before = tokens[i - 1];
    if (isWord(before, "INTO")) found.add(i);
    // A name of a WITH: a call is never followed by AS and a bracket that holds a select.
    const close = closes.get(i + 1) ?? tokens.length;
    const isBound = isWord(before, "WITH") || isWord(before, "RECURSIVE") || before?.text === ",";
    if (isBound && isWord(tokens[close + 1], "AS") && tokens[close + 2]?.text === "(") found.add(i);
  }
  return found;
}

/** The closing bracket of each opening one, by position, in one pass. */
function closingBrackets(tokens: readonly Token[]): ReadonlyMap<number, number> {
  const closes = new Map<number, number>();
  const open: number[] = [];
  for (const [i, { kind, text }] of tokens.entries()) {
    if (kind !== "sign") continue;
    if (text === "(") open.push(i);
    const start = text === ")" ? open.pop() : undefined;
    if (start !== undefined) closes.set(start, i);
  }
  return closes;
}

const VERBS: Readonly<Record<string, StatementClass>> = {
  SELECT: "select",
  VALUES: "select",
  INSERT: "insert",
  UPDATE: "update",
  DELETE: "delete",
};

function classOf(tokens: readonly Token[]): StatementClass | null {
  const [first] = tokens;
  if (first === undefined || first.kind !== "word") return null;
  const word = first.text.toUpperCase();
  if (word !== "WITH") return VERBS[word] ?? null;
  // The queries of a WITH stand in brackets, so the verb is the first one outside.
  const verb = tokens.find(
    (token) => token.kind === "word" && token.depth === 0 && Object.hasOwn(VERBS, token.text.toUpperCase()),
  );
  return verb === undefined ? null : (VERBS[verb.text.toUpperCase()] ?? null);
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === "word" && token.text.toUpperCase() === word;
}
