import type { DatabaseParameter, DatabasePlan } from "../../core/plan.ts";

/** A statement as it is sent, and the values of its parameters. */
export interface SentStatement {
  readonly text: string;
  readonly values: readonly (string | null | Uint8Array | object)[];
}

/**
 * The planned statement inside one that makes each row faithful JSON and caps rows and bytes on the server: a row beyond
 * the byte limit comes back as null, so that the cut is seen. A line feed ends a comment that the statement may end with.
 *
 * Columns: `j`, the row as JSON text or null. `max_rows` plus one are asked for: the last one tells that there are more.
 */
export function sentStatement(plan: DatabasePlan, mostBytes: number): SentStatement {
  const values = plan.parameters.map(boundValue);
  if (!plan.returns) return { text: plan.statement, values };
  const rows =
    plan.access === "read"
      ? `select row_to_json(q.*)::text j from (${plan.statement}\n) q limit ${plan.maxRows + 1}`
      : "select row_to_json(q.*)::text j from q";
  const capped = `select case when s <= ${mostBytes} then j end j from (select j, sum(octet_length(j)) over (rows unbounded preceding) s from (${rows}) a) b`;
  // What changes data can only stand at the top of a WITH.
  return {
    text: plan.access === "read" ? capped : `with q as (${plan.statement}\n) ${capped}`,
    values,
  };
}

/** Texts, which the server reads by the type that the statement gives the parameter. */
function boundValue({ kind, value }: DatabaseParameter): string | null | Uint8Array | object {
  switch (kind) {
    case "null":
      return null;
    case "bytes":
      return Buffer.from(value, "base64");
    case "json":
      return JSON.parse(value) as object; // canonical JSON of the plan
    case "boolean":
    case "integer":
    case "decimal":
    case "text":
      return value;
  }
}
