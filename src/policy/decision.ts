import * as z from "zod";
import type { PolicyDecision, PolicyInput, PolicyReason } from "./contract.ts";

const reason = z.strictObject({
  code: z.string().regex(/^[a-z][a-z0-9_]{0,63}$/),
  text: z.string().min(1),
  rule: z.string().min(1),
});

const texts = z.array(z.string());

const decision = z.strictObject({
  outcome: z.enum(["allow", "hold", "deny"]),
  reasons: z.array(reason).max(64),
  granted: z.strictObject({ hosts: texts, paths: texts, connections: texts, secrets: texts }),
  policy_version: z.string(),
  obligations: z.strictObject({ quorum: z.int().min(1).max(100) }),
}) satisfies z.ZodType<PolicyDecision>;

export type ReadDecision = { readonly decision: PolicyDecision } | { readonly problem: string };

/**
 * Reads what a policy answered to `input` and believes none of it: the shape is closed, only an allow grants, and
 * only what the plan asks for; and no policy may allow an unpinned action, or a high or critical one that nobody
 * approved. `dataVersion` is the `policy_version` of the data that the policy was given.
 */
export function readDecision(answer: unknown, input: PolicyInput, dataVersion: string): ReadDecision {
  const read = decision.safeParse(answer);
  if (!read.success) {
    const first = read.error.issues[0];
    return { problem: `malformed decision: ${first?.path.map(String).join(".") || "decision"}` };
  }
  const problem = inconsistency(read.data, input, dataVersion);
  if (problem !== null) return { problem };
  return { decision: { ...read.data, reasons: read.data.reasons.map(printable) } };
}

function inconsistency(made: PolicyDecision, input: PolicyInput, dataVersion: string): string | null {
  const { outcome, granted } = made;
  if (outcome !== "allow") {
    if (made.reasons.length === 0) return `${outcome} without a reason`;
    if (Object.values(granted).some((names) => names.length > 0)) return `${outcome} that grants`;
  }
  if (outcome === "deny") return null;
  if (made.policy_version !== dataVersion) return "decision of another policy version";
  if (outcome === "hold") return null;
  if (input.approval === null && made.reasons.length > 0) return "allow with a reason against it";
  if (input.action.trust !== "digest_ok") return "allow of an untrusted action";
  if (input.approval === null && input.action.risk !== "low" && input.action.risk !== "medium")
    return `allow of a ${input.action.risk} risk without approval`;
  const { plan } = input;
  const hosts = plan.kind === "http" ? [plan.host] : plan.kind === "envelope" ? plan.hosts : [];
  if (!granted.hosts.every((host) => hosts.includes(host))) return "grant of another host";
  if (!granted.paths.every((path) => plan.kind === "fs" && path === plan.path))
    return "grant of another path";
  const named = "connection" in plan ? plan.connection : null;
  if (!granted.connections.every((connection) => connection === named)) return "grant of another connection";
  if (!granted.secrets.every((secret) => input.secrets.includes(secret))) return "grant of another secret";
  return null;
}

/** A decision that the engine makes itself, when policy could not. `detail` is for operators only. */
export function denied(code: string, text: string, version: string, detail = "engine"): PolicyDecision {
  return {
    outcome: "deny",
    reasons: [printable({ code, text, rule: detail })],
    granted: { hosts: [], paths: [], connections: [], secrets: [] },
    policy_version: version,
    obligations: { quorum: 1 },
  };
}

const LONGEST_TEXT = 500;

/** Reasons quote names and paths that an agent chose; they end up in terminals and logs. */
function printable(given: PolicyReason): PolicyReason {
  return { code: given.code, text: clean(given.text), rule: clean(given.rule) };
}

/** Control, format and line-separator characters become spaces; at most 500 bytes of UTF-8 remain. */
function clean(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, " ");
  if (Buffer.byteLength(plain) <= LONGEST_TEXT) return plain;
  let kept = "";
  let size = 0;
  for (const character of plain) {
    size += Buffer.byteLength(character);
    if (size > LONGEST_TEXT - 3) break;
    kept += character;
  }
  return `${kept}…`;
}
