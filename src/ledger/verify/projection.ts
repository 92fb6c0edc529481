import { type EntryPayload, type Projection, project } from "../entry/entry.ts";
import { isText, type PlainEntry } from "../entry/plain-entry.ts";
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

/** Whether there are none, for an entry by its text; false says nothing. */
export function isPlainProjection(row: Raw<Projection>, { members, time }: PlainEntry): boolean {
  return (
    row.time_ms === time &&
    isText(members.id, row.id) &&
    isText(members.type, row.type) &&
    isText(members.trace_id, row.trace_id) &&
    isText(members.tenant, row.tenant) &&
    isText(members.principal, row.principal) &&
    isText(members.action_id, row.action_id) &&
    isText(members.decision, row.decision)
  );
}
