import { describe, expect, test } from "bun:test";
import { defaultPolicyWasm } from "../../src/policy/assets.ts";
import type { PolicyInput } from "../../src/policy/contract.ts";
import { type ActionFacts, PolicyDataError, parsePolicyData, quickstartData } from "../../src/policy/data.ts";
import { checkPolicyData } from "../../src/policy/data-check.ts";
import { loadPolicy } from "../../src/policy/engine.ts";
import { baseData, baseInput, patched } from "./case-files.ts";

function problems(value: unknown): readonly string[] {
  try {
    parsePolicyData(value);
  } catch (thrown) {
    if (thrown instanceof PolicyDataError) return thrown.problems;
    throw thrown;
  }
  return [];
}

const ACTIONS: readonly ActionFacts[] = [
  { id: "http_fetch", effects: ["http_read"], risk: "low" },
  { id: "github_create_issue", effects: ["http_write"], risk: "medium" },
  { id: "github_delete", effects: ["http_delete", "http_write"], risk: "critical" },
];

describe("parsePolicyData", () => {
  test("returns a copy of what is valid", () => {
    const data = { ...Object(baseData()), approvals: { quorum: { critical: 2 } } };
    const read = parsePolicyData(data);
    expect<unknown>(read).toEqual(data);
    expect(read.acl).not.toBe(data.acl);
  });

  test("suggests the nearest name for an unknown member, at each level", () => {
    const entry = { allowed_actions: [], allowed_sinks: [] };
    expect(problems({ policy_version: "1", acl: {}, aproval: {} })).toEqual([
      'aproval: unknown member; did you mean "approvals"?',
    ]);
    expect(problems({ policy_version: "1", acl: { "agent:x": { ...entry, allowed_action: [] } } })).toEqual([
      'acl["agent:x"].allowed_action: unknown member; did you mean "allowed_actions"?',
    ]);
    expect(problems({ policy_version: "1", acl: {}, approvals: { quorums: {} } })).toEqual([
      'approvals.quorums: unknown member; did you mean "quorum"?',
    ]);
    expect(problems({ policy_version: "1", acl: {}, approvals: { quorum: { hig: 2 } } })).toEqual([
      'approvals.quorum.hig: unknown member; did you mean "high"?',
    ]);
  });

  test("names every fault at once", () => {
    expect(problems({ acl: { a: { allowed_actions: [""], allowed_sinks: [1] } } })).toEqual([
      "policy_version: expected string, received undefined",
      "acl.a.allowed_actions[0]: must not be empty",
      "acl.a.allowed_sinks[0]: expected string, received number",
    ]);
  });

  test("refuses names that nobody can have", () => {
    const entry = { allowed_actions: [], allowed_sinks: [] };
    expect(problems({ policy_version: "1", acl: { "": entry } })).toEqual(['acl[""]: must not be empty']);
    expect(problems({ policy_version: "1", acl: { "a\nb": entry } })[0]).toContain(
      "contains a control character",
    );
    expect(problems({ policy_version: "1", acl: { ["a".repeat(513)]: entry } })[0]).toContain(
      "longer than 512",
    );
    expect(problems({ policy_version: "1\u0000", acl: {} })).toEqual([
      "policy_version: contains a control character",
    ]);
  });

  test("refuses __proto__ as a principal, which would be lost in silence and fall to the wildcard", () => {
    const data: unknown = JSON.parse(
      '{"policy_version":"1","acl":{"__proto__":{"allowed_actions":[],"allowed_sinks":[]}}}',
    );
    expect(problems(data)).toEqual(['acl["__proto__"]: not a possible principal']);
  });

  test("keeps principals called like members of every object", () => {
    const entry = { allowed_actions: ["a"], allowed_sinks: [] };
    const acl = { constructor: entry, toString: entry, hasOwnProperty: entry };
    expect(Object.keys(parsePolicyData({ policy_version: "1", acl }).acl)).toEqual(Object.keys(acl));
  });

  test("refuses a wildcard that inherits, and a wildcard among the names granted", () => {
    const star = { allowed_actions: [], allowed_sinks: [], inherits_wildcard: true };
    expect(problems({ policy_version: "1", acl: { "*": star } })).toEqual([
      'acl["*"].inherits_wildcard: the wildcard entry cannot inherit from itself',
    ]);
    expect(
      problems({ policy_version: "1", acl: { a: { allowed_actions: ["*"], allowed_sinks: ["*"] } } }),
    ).toEqual([
      "acl.a.allowed_actions[0]: a wildcard is no name; list each one",
      "acl.a.allowed_sinks[0]: a wildcard is no name; list each one",
    ]);
  });

  test("refuses a quorum that is none", () => {
    for (const high of [0, -1, 1.5, 101, "2", null])
      expect(problems({ policy_version: "1", acl: {}, approvals: { quorum: { high } } })).toHaveLength(1);
  });

  test("refuses what is no object", () => {
    for (const value of [undefined, null, "data", 7, []]) expect(problems(value).length).toBeGreaterThan(0);
  });
});

describe("quickstartData", () => {
  test("gives the named principal every action and its effects, and everybody else nothing", () => {
    expect(quickstartData("uid:1000", ACTIONS)).toEqual({
      policy_version: "quickstart-1",
      acl: {
        "*": { allowed_actions: [], allowed_sinks: [] },
        "uid:1000": {
          allowed_actions: ["github_create_issue", "github_delete", "http_fetch"],
          allowed_sinks: ["http_delete", "http_read", "http_write"],
          inherits_wildcard: false,
        },
      },
    });
  });

  test("is data that the default policy uses: allowed, held, and denied to others", async () => {
    const engine = await loadPolicy({
      wasm: await defaultPolicyWasm(),
      data: quickstartData("uid:1000", ACTIONS),
    });
    const ask = (principal: string, id: string, risk: string, effects: readonly string[]) =>
      engine.evaluate(
        patched(baseInput(), {
          "/principal": principal,
          "/action/id": id,
          "/action/risk": risk,
          "/action/effects": effects,
        }) as PolicyInput, // each member set is of its type
      ).outcome;
    expect(ask("uid:1000", "http_fetch", "low", ["http_read"])).toBe("allow");
    expect(ask("uid:1000", "github_delete", "critical", ["http_delete", "http_write"])).toBe("hold");
    expect(ask("uid:1001", "http_fetch", "low", ["http_read"])).toBe("deny");
  });

  test("has no finding", () => {
    expect(checkPolicyData(quickstartData("uid:1000", ACTIONS), ACTIONS)).toEqual([]);
  });

  test("refuses a name that is no principal", () => {
    for (const owner of ["*", "", "__proto__", "a\u0007"])
      expect(() => quickstartData(owner, ACTIONS)).toThrow(PolicyDataError);
  });
});

describe("checkPolicyData", () => {
  const check = (acl: Record<string, unknown>) =>
    checkPolicyData(parsePolicyData({ policy_version: "1", acl }), ACTIONS);

  test("finds a high or critical action that the wildcard grants", () => {
    const acl = {
      "*": {
        allowed_actions: ["http_fetch", "github_delete"],
        allowed_sinks: ["http_read", "http_delete", "http_write"],
      },
    };
    expect(check(acl)).toEqual([
      {
        code: "wildcard_grants_risk",
        principal: "*",
        action: "github_delete",
        text: 'the wildcard grants "github_delete" (risk critical): anybody may ask for it, and each call is held',
      },
    ]);
  });

  test("finds a grant of an action that is not registered, and suggests the nearest", () => {
    const found = check({ a: { allowed_actions: ["http_fetsch", "zzz"], allowed_sinks: [] } });
    expect(found.map(({ code, text }) => [code, text])).toEqual([
      ["unknown_action", 'a is granted "http_fetsch", which is not registered; did you mean "http_fetch"?'],
      ["unknown_action", 'a is granted "zzz", which is not registered'],
    ]);
  });

  test("finds a grant whose sinks are not allowed, counting inherited ones", () => {
    const acl = {
      "*": { allowed_actions: [], allowed_sinks: ["http_delete"] },
      alone: { allowed_actions: ["github_delete"], allowed_sinks: ["http_write"] },
      heir: { allowed_actions: ["github_delete"], allowed_sinks: ["http_write"], inherits_wildcard: true },
    };
    expect(check(acl)).toEqual([
      {
        code: "sink_not_allowed",
        principal: "alone",
        action: "github_delete",
        text: 'alone is granted "github_delete" but not its sinks http_delete: each call is denied',
      },
    ]);
  });
});
