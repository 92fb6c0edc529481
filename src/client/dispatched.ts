import type { JsonObject } from "../core/json.ts";

/** Whether an answer that is no success tells of a call that was dispatched: it has a receipt that does not deny it. */
export function mayHaveRun(body: JsonObject): boolean {
  return typeof body.receipt_id === "string" && body.dispatched !== "no";
}
