import type { Database } from "bun:sqlite";

/** Whether the file has a table; those of the first schema lack some. */
export function hasTable(db: Database, table: string): boolean {
  const found = db.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table);
  return found !== null;
}
