import { describe, expect, test } from "bun:test";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { type JsonObject, parseJson } from "../../src/core/json.ts";
import { PLAN_KINDS, type Plan, planFromJson, planToJson, secretsOf } from "../../src/core/plan.ts";
import { databasePlan, fsPlan, httpPlan, mailPlan, queuePlan, storagePlan } from "../host/plans.ts";

const PLANS: readonly Plan[] = [
  httpPlan({ body: Buffer.from([0, 255]) }),
  httpPlan(),
  httpPlan({
    readBack: {
      url: "https://api.example.com/items/%7Bitem%7D",
      values: [{ name: "item", pointer: "/id" }],
      headers: [["accept", "application/json"]],
      secrets: [],
      status: [200],
      assert: [
        { pointer: "/a", equals: { deep: [1, null] } },
        { pointer: "/b", type: "string" },
      ],
      attempts: 3,
      intervalMs: 500,
    },
  }),
  fsPlan("/srv", { operation: "overwrite", content: Buffer.from("x"), expectedBeforeHash: "ab" }),
  fsPlan("/srv"),
  fsPlan("/srv", { allow: ["src/**", "*.md"], deny: ["**/.env", "**/.ssh/**"], maxFileBytes: 7 }),
  databasePlan(),
  databasePlan({ target: { engine: "sqlite", file: "/srv/shop.db" }, secret: "DB_PASSWORD" }),
  mailPlan(),
  queuePlan({ payload: Buffer.from([0, 255]), secret: "MQ_PASSWORD" }),
  storagePlan(),
  storagePlan({ ifNoneMatch: false, ifMatch: '"e"' }),
  storagePlan({ operation: "get", content: null, contentType: null, ifNoneMatch: false }),
];

describe("a stored plan", () => {
  test("covers every kind", () => {
    expect(new Set(PLANS.map(({ kind }) => kind))).toEqual(new Set(PLAN_KINDS));
  });

  test.each(PLANS.map((plan): [string, Plan] => [plan.kind, plan]))(
    "of kind %s comes back as it was",
    (_, plan) => {
      const text = canonicalJson(planToJson(plan));
      const stored = parseJson(Buffer.from(text), { bytes: 65_536, depth: 16 }) as JsonObject;
      expect(planFromJson(stored)).toEqual(plan);
      expect(canonicalJson(planToJson(planFromJson(stored)))).toBe(text);
    },
  );

  test("of a kind that nobody knows is refused", () => {
    expect(() => planFromJson({ kind: "ftp" })).toThrow(TypeError);
  });
});

test("a plan names its secrets and no other", () => {
  expect(secretsOf(databasePlan())).toEqual([]);
  expect(secretsOf(databasePlan({ secret: "DB_PASSWORD" }))).toEqual(["DB_PASSWORD"]);
  expect(secretsOf(storagePlan())).toEqual(["S3_SECRET"]);
  expect(secretsOf(httpPlan())).toEqual([]);
});
