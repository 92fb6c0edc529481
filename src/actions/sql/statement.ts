import type { StatementClass } from "../../core/plan/database.ts";

/** What a statement is, read from its structure and never from its first word. */
export interface Statement {
  /** Without a final semicolon. */
  readonly text: string;
  readonly class: StatementClass;
  /** Tables and views that it names, `schema.name`, sorted; empty where only the database can tell (sqlite). */
  readonly tables: readonly string[];
  /** How many parameters it takes: `$1` to `$n`, each used. */
  readonly parameters: number;
  /** Whether rows come back. */
  readonly returns: boolean;
}

/** The message repeats no value of the statement, only names that the reader knows. */
export type ReadStatement = Read<Statement>;

type Read<S> =
  | { readonly ok: true; readonly statement: S }
  | { readonly ok: false; readonly message: string };

/** A statement as the grammar has it, before it is known in which schema names without one are looked up. */
export type ParsedStatement = Read<
  Omit<Statement, "tables"> & {
    readonly tables: readonly { readonly schema: string | null; readonly name: string }[];
  }
>;

/** The statement where names without a schema are looked up in this one. */
export function inSchema(parsed: ParsedStatement, usual: string): ReadStatement {
  if (!parsed.ok) return parsed;
  const names = parsed.statement.tables.map(({ schema, name }) => `${schema ?? usual}.${name}`);
  return { ok: true, statement: { ...parsed.statement, tables: [...new Set(names)].sort() } };
}

/** Longer ones could nest deeper than PostgreSQL's parser has room for: tests take the deepest of this length. */
export const LONGEST_STATEMENT = 8_192;

/** What no statement may be, whatever the engine; null when nothing is wrong. */
export function textFault(text: string): string | null {
  if (text.length > LONGEST_STATEMENT) return `the statement is longer than ${LONGEST_STATEMENT} characters`;
  // A parser written in C ends at NUL; a database may not.
  if (text.includes("\0")) return "the statement has a NUL character";
  if (!text.isWellFormed()) return "the statement has a lone surrogate";
  return null;
}

/** A statement may end with one semicolon; it is left out of what is sent. */
export function withoutEnd(text: string): string {
  const trimmed = text.trim();
  return trimmed.endsWith(";") ? trimmed.slice(0, -1).trimEnd() : trimmed;
}
