import { describe, expect, test } from "bun:test";
import type { PolicyDecision, PolicyInput } from "../../src/policy/contract.ts";
import { readDecision } from "../../src/policy/decision.ts";
import { baseInput, patched } from "./case-files.ts";

const ALLOW: PolicyDecision = {
  outcome: "allow",
  reasons: [],
  granted: { hosts: ["api.example.com"], paths: [], connections: [], secrets: [] },
  policy_version: "cases-1",
  obligations: { quorum: 1 },
};

const REASON = { code: "risk", text: "risk high needs approval", rule: "hold.risk" };
const NOTHING = { hosts: [], paths: [], connections: [], secrets: [] };

function inputWith(set: Record<string, unknown>): PolicyInput {
  return patched(baseInput(), set) as PolicyInput; // the members set are of their type
}

const APPROVED = { id: "approval-1", approvers: ["operator:ann"] };
const FILE = { kind: "fs", operation: "read", path: "notes.txt" };

const DATABASE = {
  kind: "database",
  connection: "orders",
  engine: "postgresql",
  target: "db.example.com:5432/shop",
  access: "read",
  class: "select",
  tables: ["public.orders"],
};

const ENVELOPE = {
  kind: "envelope",
  hosts: ["*.example.org", "api.example.com"],
  methods: ["GET"],
  prefixes: ["/"],
  ports: [443],
  plain: [],
  calls: 2,
};

describe("a decision is taken as it is", () => {
  const fine: [string, unknown, PolicyInput][] = [
    ["allow of all that the plan asks for", ALLOW, baseInput()],
    ["allow of less than the plan asks for", { ...ALLOW, granted: NOTHING }, baseInput()],
    [
      "allow of the plan's connection",
      { ...ALLOW, granted: { ...NOTHING, connections: ["orders"] } },
      inputWith({ "/plan": DATABASE }),
    ],
    [
      "allow of the hosts of an envelope",
      { ...ALLOW, granted: { ...NOTHING, hosts: ["api.example.com", "*.example.org"] } },
      inputWith({ "/plan": ENVELOPE, "/action/envelope": true }),
    ],
    [
      "allow of the plan's path",
      { ...ALLOW, granted: { ...NOTHING, paths: ["notes.txt"] } },
      inputWith({ "/plan": FILE }),
    ],
    [
      "allow of a secret asked for",
      { ...ALLOW, granted: { ...NOTHING, secrets: ["A"] } },
      inputWith({ "/secrets": ["A", "B"] }),
    ],
    [
      "hold",
      { ...ALLOW, outcome: "hold", reasons: [REASON], granted: NOTHING },
      inputWith({ "/action/risk": "high" }),
    ],
    [
      "approved allow that says what was held",
      { ...ALLOW, reasons: [REASON] },
      inputWith({ "/action/risk": "high", "/approval": APPROVED }),
    ],
    [
      "deny, of whatever version",
      { ...ALLOW, outcome: "deny", reasons: [REASON], granted: NOTHING, policy_version: "" },
      baseInput(),
    ],
  ];
  for (const [name, answer, input] of fine)
    test(name, () => {
      expect<unknown>(readDecision(answer, input, "cases-1")).toEqual({ decision: answer });
    });
});

describe("a decision is refused", () => {
  const plain = baseInput();
  const refused: [string, unknown, PolicyInput, string][] = [
    ["nothing", null, plain, "malformed decision: decision"],
    ["a bare true", true, plain, "malformed decision: decision"],
    ["an unknown outcome", { ...ALLOW, outcome: "maybe" }, plain, "malformed decision: outcome"],
    ["a surplus member", { ...ALLOW, override: true }, plain, "malformed decision: decision"],
    [
      "a surplus grant",
      { ...ALLOW, granted: { ...NOTHING, sinks: [] } },
      plain,
      "malformed decision: granted",
    ],
    ["no grants at all", { ...ALLOW, granted: undefined }, plain, "malformed decision: granted"],
    [
      "grants without secrets",
      { ...ALLOW, granted: { hosts: [], paths: [], connections: [] } },
      plain,
      "malformed decision: granted.secrets",
    ],
    ["no obligations", { ...ALLOW, obligations: undefined }, plain, "malformed decision: obligations"],
    [
      "a quorum of zero",
      { ...ALLOW, obligations: { quorum: 0 } },
      plain,
      "malformed decision: obligations.quorum",
    ],
    [
      "half a quorum",
      { ...ALLOW, obligations: { quorum: 1.5 } },
      plain,
      "malformed decision: obligations.quorum",
    ],
    [
      "a quorum of null",
      { ...ALLOW, obligations: { quorum: null } },
      plain,
      "malformed decision: obligations.quorum",
    ],
    [
      "a reason without a code",
      { ...ALLOW, reasons: [{ text: "x", rule: "y" }] },
      plain,
      "malformed decision: reasons.0.code",
    ],
    [
      "a reason with a made-up code",
      { ...ALLOW, reasons: [{ ...REASON, code: "<b>" }] },
      plain,
      "malformed decision: reasons.0.code",
    ],
    ["no version", { ...ALLOW, policy_version: undefined }, plain, "malformed decision: policy_version"],
    [
      "allow by another version",
      { ...ALLOW, policy_version: "older" },
      plain,
      "decision of another policy version",
    ],
    [
      "hold by another version",
      { ...ALLOW, outcome: "hold", reasons: [REASON], granted: NOTHING, policy_version: "" },
      plain,
      "decision of another policy version",
    ],
    [
      "deny without a reason",
      { ...ALLOW, outcome: "deny", granted: NOTHING },
      plain,
      "deny without a reason",
    ],
    [
      "hold without a reason",
      { ...ALLOW, outcome: "hold", granted: NOTHING },
      plain,
      "hold without a reason",
    ],
    ["deny that grants", { ...ALLOW, outcome: "deny", reasons: [REASON] }, plain, "deny that grants"],
    ["hold that grants", { ...ALLOW, outcome: "hold", reasons: [REASON] }, plain, "hold that grants"],
    [
      "allow with a reason against it",
      { ...ALLOW, reasons: [REASON] },
      plain,
      "allow with a reason against it",
    ],
    [
      "allow of an unpinned action",
      ALLOW,
      inputWith({ "/action/trust": "digest_mismatch" }),
      "allow of an untrusted action",
    ],
    [
      "allow of a high risk",
      ALLOW,
      inputWith({ "/action/risk": "high" }),
      "allow of a high risk without approval",
    ],
    [
      "allow of a critical risk",
      ALLOW,
      inputWith({ "/action/risk": "critical" }),
      "allow of a critical risk without approval",
    ],
    [
      "another host",
      { ...ALLOW, granted: { ...NOTHING, hosts: ["evil.example"] } },
      plain,
      "grant of another host",
    ],
    [
      "a host beside the plan's",
      { ...ALLOW, granted: { ...NOTHING, hosts: ["api.example.com", "*"] } },
      plain,
      "grant of another host",
    ],
    [
      "a host beside those of an envelope",
      { ...ALLOW, granted: { ...NOTHING, hosts: ["api.example.com", "a.example.org"] } },
      inputWith({ "/plan": ENVELOPE, "/action/envelope": true }),
      "grant of another host",
    ],
    ["a host for a file plan", ALLOW, inputWith({ "/plan": FILE }), "grant of another host"],
    [
      "a path for an http plan",
      { ...ALLOW, granted: { ...NOTHING, paths: ["/v1/items"] } },
      plain,
      "grant of another path",
    ],
    [
      "another path",
      { ...ALLOW, granted: { ...NOTHING, paths: ["notes.txt", ".env"] } },
      inputWith({ "/plan": FILE }),
      "grant of another path",
    ],
    [
      "a connection for an http plan",
      { ...ALLOW, granted: { ...NOTHING, connections: ["orders"] } },
      plain,
      "grant of another connection",
    ],
    [
      "another connection",
      { ...ALLOW, granted: { ...NOTHING, connections: ["orders", "payroll"] } },
      inputWith({ "/plan": DATABASE }),
      "grant of another connection",
    ],
    [
      "a secret not asked for",
      { ...ALLOW, granted: { ...NOTHING, secrets: ["B"] } },
      inputWith({ "/secrets": ["A"] }),
      "grant of another secret",
    ],
  ];
  for (const [name, answer, input, problem] of refused)
    test(name, () => {
      expect(readDecision(answer, input, "cases-1")).toEqual({ problem });
    });
});
