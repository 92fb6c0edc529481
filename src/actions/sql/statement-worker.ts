/** Worker entry: reads the SQL that comes with calls, one statement at a time. */
import { parseStatement } from "./postgres.ts";
import { loadPostgresParser } from "./postgres-parser.ts";

declare const self: Worker;

export interface StatementTask {
  readonly text: string;
  readonly functions: readonly string[];
}

self.onmessage = async ({ data }: MessageEvent<StatementTask>) => {
  await loadPostgresParser();
  self.postMessage(parseStatement(data.text, data.functions));
};
