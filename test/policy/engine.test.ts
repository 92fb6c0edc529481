import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { defaultPolicyWasm } from "../../src/policy/assets.ts";
import type { PolicyDecision, PolicyInput } from "../../src/policy/contract.ts";
import { PolicyDataError } from "../../src/policy/data.ts";
import { loadPolicy } from "../../src/policy/engine.ts";
import { PolicyModule, PolicyModuleError } from "../../src/policy/module.ts";
import { baseData, baseInput, patched } from "./case-files.ts";

const wasm = await defaultPolicyWasm();
const misbehaving = await Bun.file(join(import.meta.dir, "fixtures/misbehaving.wasm")).bytes();

function codes(decision: PolicyDecision): string[] {
  return decision.reasons.map((reason) => reason.code);
}

/** An input with members replaced; not always one that the type admits. */
function inputWith(set: Record<string, unknown>, without: readonly string[] = []): PolicyInput {
  return patched(baseInput(), set, without) as PolicyInput; // the engine must cope with any value
}

describe("version", () => {
  test("names the data's version and the digest of policy and data", async () => {
    const engine = await loadPolicy({ wasm, data: baseData() });
    expect(engine.version).toMatch(/^cases-1\+[0-9a-f]{12}$/);
  });

  test("is the same for the same data in another order, and another for other data or another policy", async () => {
    const data = { policy_version: "sound", acl: { a: entry(["x"]), b: entry(["y"]) } };
    const reordered = { acl: { b: entry(["y"]), a: entry(["x"]) }, policy_version: "sound" };
    const changed = { policy_version: "sound", acl: { a: entry(["x"]), b: entry(["z"]) } };
    const { version } = await loadPolicy({ wasm, data });
    expect((await loadPolicy({ wasm, data: reordered })).version).toBe(version);
    expect((await loadPolicy({ wasm, data: changed })).version).not.toBe(version);
    expect((await loadPolicy({ wasm: misbehaving, data })).version).not.toBe(version);
  });

  test("is in every decision, the engine's own denials too", async () => {
    const engine = await loadPolicy({ wasm, data: baseData() });
    expect(engine.evaluate(baseInput()).policy_version).toBe(engine.version);
    expect(engine.evaluate(inputWith({ "/action/risk": "none" })).policy_version).toBe(engine.version);
  });
});

describe("load", () => {
  test("refuses data that is not valid", async () => {
    await expect(loadPolicy({ wasm, data: { acl: {} } })).rejects.toBeInstanceOf(PolicyDataError);
  });

  test("refuses bytes that are no wasm", async () => {
    const refused = loadPolicy({ wasm: new Uint8Array([1, 2, 3]), data: baseData() });
    await expect(refused).rejects.toThrow("not a compiled policy");
    await expect(refused).rejects.toBeInstanceOf(PolicyModuleError);
  });

  test("refuses wasm that is no policy", async () => {
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    await expect(loadPolicy({ wasm: empty, data: baseData() })).rejects.toThrow("not a compiled policy");
  });

  test("refuses a policy that would allow an unregistered action", async () => {
    const refused = loadPolicy({ wasm: misbehaving, data: { policy_version: "permissive", acl: {} } });
    await expect(refused).rejects.toThrow("policy fails its canary");
  });

  test("refuses a policy whose decisions break the contract", async () => {
    const refused = loadPolicy({ wasm: misbehaving, data: { policy_version: "malformed", acl: {} } });
    await expect(refused).rejects.toThrow("policy fails its canary");
  });

  test("refuses a policy that decides nothing", async () => {
    const refused = loadPolicy({ wasm: misbehaving, data: { policy_version: "unknown", acl: {} } });
    await expect(refused).rejects.toThrow("the policy gave no decision");
  });

  test("refuses data too long to be meant", async () => {
    const acl = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`agent:${i}`, entry(Array(150).fill("a".repeat(100)))]),
    );
    await expect(loadPolicy({ wasm, data: { policy_version: "long", acl } })).rejects.toThrow(
      "policy data longer than",
    );
  });
});

describe("a policy that misbehaves", () => {
  const load = () => loadPolicy({ wasm: misbehaving, data: { policy_version: "sound", acl: {} } });
  const doing = (what: string) => inputWith({ "/params": { do: what } });

  test("is believed when it keeps the contract", async () => {
    expect((await load()).evaluate(doing("allow"))).toMatchObject({ outcome: "allow", reasons: [] });
  });

  test("denies with engine_unavailable when no rule gives a decision", async () => {
    expect((await load()).evaluate(doing("nothing"))).toMatchObject({
      outcome: "deny",
      reasons: [{ code: "engine_unavailable", text: "the policy gave no decision" }],
      granted: { hosts: [], paths: [], connections: [], secrets: [] },
    });
  });

  test("denies with contract_violation when the decision has another shape", async () => {
    expect((await load()).evaluate(doing("malformed"))).toMatchObject({
      outcome: "deny",
      reasons: [{ code: "contract_violation", text: "the policy's decision breaks its contract" }],
    });
  });

  test("denies with contract_violation when it grants more than the plan asks for", async () => {
    expect((await load()).evaluate(doing("grant more"))).toMatchObject({
      outcome: "deny",
      reasons: [{ code: "contract_violation", rule: "grant of another host" }],
      granted: { hosts: [], paths: [], connections: [], secrets: [] },
    });
  });

  for (const failure of ["abort", "exhaust"])
    test(`denies with engine_unavailable on ${failure}, keeps the cause for operators, and works on`, async () => {
      const engine = await load();
      const failed = engine.evaluate(doing(failure));
      expect(failed).toMatchObject({ outcome: "deny", reasons: [{ code: "engine_unavailable" }] });
      expect(failed.reasons[0]?.text).toBe("the policy engine failed");
      expect(failed.reasons[0]?.rule).toMatch(failure === "abort" ? /conflict/ : /malloc/);
      expect(engine.evaluate(doing("allow")).outcome).toBe("allow");
    });
});

describe("input that cannot be judged", () => {
  const engine = loadPolicy({ wasm, data: baseData() });
  const denies = async (input: PolicyInput, text: string) => {
    const decision = (await engine).evaluate(input);
    expect(decision.outcome).toBe("deny");
    expect(codes(decision)).toEqual(["contract_violation"]);
    expect(decision.reasons[0]?.text).toContain(text);
  };

  test("numbers that json has no word for", async () => {
    await denies(inputWith({ "/budget/calls_remaining": Number.NaN }), "budget.calls_remaining");
    await denies(
      inputWith({ "/budget/calls_remaining": Number.POSITIVE_INFINITY }),
      "budget.calls_remaining",
    );
    await denies(inputWith({ "/budget/calls_remaining": 2 ** 53 }), "budget.calls_remaining");
    await denies(inputWith({ "/params": { amount: Number.NaN } }), "params.amount");
  });

  test("undefined members", async () => {
    await denies(inputWith({ "/approval": undefined }), "approval");
    await denies(inputWith({ "/budget/calls_remaining": undefined }), "budget.calls_remaining");
  });

  test("values that are no json", async () => {
    await denies(inputWith({ "/action/id": () => "http_fetch" }), "action.id");
    await denies(inputWith({ "/principal": Symbol("agent") }), "principal");
    await denies(inputWith({ "/budget/calls_remaining": 10n }), "budget.calls_remaining");
  });

  test("a lone surrogate, in a value or in a name", async () => {
    await denies(inputWith({ "/params": { owner: "a\ud800" } }), "lone surrogate");
    await denies(inputWith({ "/params": { "a\udc00": 1 } }), "lone surrogate");
  });

  test("text that only looks like an escaped surrogate is fine", async () => {
    const decision = (await engine).evaluate(inputWith({ "/params": { owner: "\\ud800 \u{1f600}" } }));
    expect(decision.outcome).toBe("allow");
  });

  test("more than policy reads", async () => {
    await denies(inputWith({ "/params": { body: "x".repeat(70_000) } }), "longer than");
    await denies(inputWith({ "/scopes": Array(257).fill("tools:call") }), "scopes");
    await denies(
      inputWith({ "/params": Object.fromEntries([...Array(257).keys()].map((i) => [i, i])) }),
      "params",
    );
  });

  test("a structure behind a name that the schema library passes over", async () => {
    const params = JSON.parse('{"__proto__":{"deep":true}}');
    await denies(inputWith({ "/params": params }), "params.__proto__");
  });
});

describe("reasons", () => {
  test("carry no control or format characters and stay short, whatever an agent names its targets", async () => {
    const engine = await loadPolicy({ wasm, data: baseData() });
    const hosts = ["evil\u001b[31m\n\u202eexample", `${"ü".repeat(2000)}`];
    const text = engine.evaluate(inputWith({ "/unresolved/hosts": hosts })).reasons[0]?.text ?? "";
    expect(text).toStartWith("unresolved hosts: evil [31m  example");
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(500);
    expect(text).toEndWith("…");
  });
});

test("whether a plan is an envelope is held against what the action says, for any policy", async () => {
  const engine = await loadPolicy({ wasm, data: baseData() });
  for (const changes of [{ "/action/envelope": true }, { "/plan": ENVELOPE }])
    expect(engine.evaluate(inputWith(changes)).reasons).toEqual([
      { code: "contract_violation", text: "malformed policy input: action.envelope", rule: "engine" },
    ]);
});

const ENVELOPE = {
  kind: "envelope",
  hosts: ["api.example.com"],
  methods: ["GET"],
  prefixes: ["/"],
  ports: [443],
  plain: [],
  calls: 1,
};
const APPROVAL = { "/approval": { id: "a", approvers: ["operator:ann"] } };

describe.each([
  ["an exact plan", inputWith(APPROVAL)],
  ["an envelope", inputWith({ ...APPROVAL, "/plan": ENVELOPE, "/action/envelope": true })],
])("any change of a valid input with %s", (_what, whole) => {
  const places = [
    ...["", "/action", "/plan", "/budget", "/unresolved", "/approval"].map((part) => `${part}/surplus`),
    ...members(whole, ""),
  ];
  const foreign = fc.oneof(
    fc.constantFrom<unknown>("", [], {}, true, -1.5, [""], [null], [[]], { a: 1 }),
    fc.constant(undefined),
  );

  test("to a value of another type, or one member more or less, never allows: engine and policy agree", async () => {
    const engine = await loadPolicy({ wasm, data: baseData() });
    const module = await PolicyModule.load(wasm, JSON.stringify(baseData()));
    fc.assert(
      fc.property(fc.constantFrom(...places), foreign, (place, value) => {
        fc.pre(!acceptable(place, value, whole));
        const input =
          value === undefined && !place.endsWith("/surplus")
            ? patched(whole, {}, [place])
            : patched(whole, { [place]: value ?? 1 });
        for (const decision of [
          engine.evaluate(input as PolicyInput), // broken on purpose
          module.evaluate(JSON.stringify(input)) as PolicyDecision, // the default policy answers with a decision
        ]) {
          expect(decision.outcome).toBe("deny");
          expect(codes(decision)).toEqual(["contract_violation"]);
        }
      }),
      { seed: 1, numRuns: 600 },
    );
  });
});

describe("memory", () => {
  test("does not grow over 20000 evaluations, and answers do not drift", async () => {
    const module = await PolicyModule.load(wasm, JSON.stringify(baseData()));
    const inputs = [
      inputWith({}),
      inputWith({ "/principal": "agent:inheriting", "/action/risk": "high" }),
      inputWith({ "/principal": "agent:empty-acl", "/scopes": [], "/action/effects": ["a", "b", "c"] }),
      inputWith({ "/unresolved/hosts": Array.from({ length: 50 }, (_, i) => `h${i}.example.com`) }),
      inputWith({}, ["/action/trust"]),
    ].map((input) => JSON.stringify(input));
    const first = inputs.map((input) => module.evaluate(input));
    const before = module.pages;
    for (let i = 0; i < 20_000; i++) module.evaluate(inputs[i % inputs.length] ?? "");
    expect(inputs.map((input) => module.evaluate(input))).toEqual(first);
    expect(module.pages).toBe(before);
  });
});

function entry(actions: readonly string[]) {
  return { allowed_actions: actions, allowed_sinks: [] };
}

/** Pointers to every member, at any depth. */
function members(value: unknown, at: string): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => [
    `${at}/${name}`,
    ...members(inner, `${at}/${name}`),
  ]);
}

/** The few of the foreign values that are right where they would stand. */
function acceptable(place: string, value: unknown, whole: PolicyInput): boolean {
  if (place === "/params") return JSON.stringify(value) === "{}" || JSON.stringify(value) === '{"a":1}';
  if (place === "/action/envelope") return value === whole.action.envelope;
  return Array.isArray(value) && value.length === 0 && LISTS.has(place);
}

const LISTS: ReadonlySet<string> = new Set([
  "/scopes",
  "/required_scopes",
  "/secrets",
  "/action/effects",
  "/unresolved/hosts",
  "/unresolved/paths",
  "/approval/approvers",
  "/plan/plain",
]);
