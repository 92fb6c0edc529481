import type { DatabaseParameter } from "../../core/plan.ts";

/** What the gate writes to the process of one statement: one JSON text, then the end of the stream. */
export interface SqliteRequest {
  readonly file: string;
  readonly access: "read" | "write";
  readonly statement: string;
  readonly parameters: readonly DatabaseParameter[];
  /** `schema.table` that the statement may open. */
  readonly tables: readonly string[];
  readonly maxRows: number;
  readonly maxAffected: number;
  readonly maxBytes: number;
}

/**
 * What comes back, one JSON text a line: `committing` before a change is made final, then the result or a refusal.
 * `code` is one of `HostErrorCode`; `state` the name of SQLite's result code.
 */
export type SqliteReply =
  | { readonly committing: true }
  | { readonly json: string; readonly count: number; readonly affected: number }
  | { readonly code: string; readonly state: string | null };

/** The word that starts that process. */
export const SQLITE_COMMAND = "__sqlite";
