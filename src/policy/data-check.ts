import { didYouMean } from "../core/suggest.ts";
import type { AclEntry, PolicyData } from "./contract.ts";
import type { ActionFacts } from "./data.ts";

export interface DataFinding {
  readonly code: "wildcard_grants_risk" | "unknown_action" | "sink_not_allowed";
  readonly principal: string;
  readonly action: string;
  readonly text: string;
}

/**
 * Compares valid policy data with the registered actions. Findings are advice, the policy holds whatever they say:
 * a high or critical action that everybody may ask for, a grant of an action that is not registered, a grant that
 * can never be used because one of the action's effects is not an allowed sink.
 */
export function checkPolicyData(data: PolicyData, actions: readonly ActionFacts[]): DataFinding[] {
  const known = new Map(actions.map((action) => [action.id, action]));
  const findings: DataFinding[] = [];
  for (const [principal, entry] of Object.entries(data.acl)) {
    const sinks = new Set([...entry.allowed_sinks, ...inherited(data, principal, entry)]);
    for (const id of entry.allowed_actions) {
      const action = known.get(id);
      if (action === undefined) {
        const near = didYouMean(id, known.keys());
        const text = `${principal} is granted "${id}", which is not registered`;
        findings.push({
          code: "unknown_action",
          principal,
          action: id,
          text: near === undefined ? text : `${text}; did you mean "${near}"?`,
        });
        continue;
      }
      if (principal === "*" && action.risk !== "low" && action.risk !== "medium")
        findings.push({
          code: "wildcard_grants_risk",
          principal,
          action: id,
          text: `the wildcard grants "${id}" (risk ${action.risk}): anybody may ask for it, and each call is held`,
        });
      const missing = action.effects.filter((effect) => !sinks.has(effect));
      if (missing.length > 0)
        findings.push({
          code: "sink_not_allowed",
          principal,
          action: id,
          text: `${principal} is granted "${id}" but not its sinks ${missing.join(", ")}: each call is denied`,
        });
    }
  }
  return findings;
}

function inherited(data: PolicyData, principal: string, entry: AclEntry): readonly string[] {
  if (principal === "*" || entry.inherits_wildcard !== true) return [];
  return data.acl["*"]?.allowed_sinks ?? [];
}
