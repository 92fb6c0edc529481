import { type EntryPayload, type Projection, project } from "../entry/entry.ts";
import type { Raw } from "./rows.ts";

const COLUMNS = [
  "id",
  "type",
  "time_ms",
  "trace_id",
  "tenant",
  "principal",
  "action_id",
  "decision",
] as const satisfies readonly (keyof Projection)[];

const NONE: readonly string[] = [];

/** The columns of a row that are not what its entry says. */
export function projectionFaults(row: Raw<Projection>, payload: EntryPayload): readonly string[] {
  const projection = project(payload);
  const same = COLUMNS.every((column) => row[column] === projection[column]);
  return same ? NONE : COLUMNS.filter((column) => row[column] !== projection[column]);
}
