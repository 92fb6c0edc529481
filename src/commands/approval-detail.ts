import type { Json, JsonObject } from "../core/json.ts";
import { fields, jsonText, safe } from "./output.ts";

/** What an operator looks at first; everything else follows in the gate's order. */
const FIRST = [
  "approval_id",
  "status",
  "action_id",
  "action_version",
  "risk_level",
  "principal",
  "session_id",
];
const LAST = ["reasons", "envelope", "plan"];

/**
 * Everything the gate tells about a hold, as text: identity, then the rest, then the reasons for holding it, an envelope
 * in words, and the plan in full. Nothing is cut: what is not shown cannot be judged.
 */
export function approvalText(detail: JsonObject): string {
  const middle = Object.keys(detail).filter((name) => !FIRST.includes(name) && !LAST.includes(name));
  const parts = [fields([...FIRST, ...middle].map((name) => [name, detail[name]] as const))];
  const reasons = detail.reasons;
  if (Array.isArray(reasons) && reasons.length > 0)
    parts.push(["reasons:", ...reasons.map((reason) => `  - ${reasonText(reason)}`)].join("\n"));
  const { envelope } = detail;
  if (Array.isArray(envelope) && envelope.length > 0)
    parts.push(["envelope:", ...envelope.map((line) => `  - ${safe(String(line))}`)].join("\n"));
  const plan = detail.plan;
  if (plan !== undefined && plan !== null) parts.push(`plan:\n${jsonText(plan, true)}`);
  return parts.join("\n\n");
}

function reasonText(reason: Json): string {
  if (typeof reason === "string") return safe(reason);
  if (typeof reason === "object" && reason !== null && "text" in reason && "code" in reason)
    return `${safe(String(reason.text))} (${safe(String(reason.code))})`;
  return jsonText(reason, false);
}
