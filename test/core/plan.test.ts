import { describe, expect, test } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { type Json, type JsonObject, parseJson } from "../../src/core/json.ts";
import {
  type EnvelopePlan,
  PLAN_KINDS,
  type Plan,
  planFromJson,
  planToJson,
  secretsOf,
} from "../../src/core/plan.ts";
import {
  databasePlan,
  envelopePlan,
  fsPlan,
  httpPlan,
  mailPlan,
  queuePlan,
  storagePlan,
} from "../host/plans.ts";

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
  envelopePlan(),
  envelopePlan({
    params: { deep: [1, null, { a: "b" }] },
    plain: ["http://api.example.com:8080"],
    secrets: [
      {
        secret: "API_TOKEN",
        in: "header",
        name: "authorization",
        format: "Bearer {secret}",
        origin: "https://api.example.com",
        required: true,
      },
    ],
  }),
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

test("no two envelopes have one stored form: what an approver signs is all of it", () => {
  const words = (...from: string[]) => fc.uniqueArray(fc.constantFrom(...from), { maxLength: 2 });
  const envelope = fc.record({
    params: fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom<Json>(1, "1", null, [], {}, ["a", "b"])),
    targets: fc.array(
      fc.record({
        hosts: words("a.example.com", "b.example.com", "*.example.com"),
        methods: fc.uniqueArray(fc.constantFrom("GET" as const, "PUT" as const), { maxLength: 2 }),
        paths: words("/", "/a", "/a/"),
        ports: fc.uniqueArray(fc.constantFrom(443, 8443), { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
    plain: words("http://a.example.com", "http://b.example.com"),
    calls: fc.integer({ min: 1, max: 3 }),
    responseHeaders: words("etag", "location"),
    secrets: fc.array(
      fc.record({
        secret: fc.constantFrom("A", "B"),
        in: fc.constantFrom("header" as const, "query" as const),
        name: fc.constantFrom("x-a", "x-b"),
        format: fc.constantFrom("{secret}", "Bearer {secret}"),
        origin: fc.constantFrom("https://a.example.com", "https://b.example.com"),
        required: fc.boolean(),
      }),
      { maxLength: 1 },
    ),
  });
  const stored = (changes: Partial<EnvelopePlan>) => canonicalJson(planToJson(envelopePlan(changes)));
  fc.assert(
    fc.property(envelope, envelope, (a, b) => {
      expect(stored(a) === stored(b)).toBe(isDeepStrictEqual(envelopePlan(a), envelopePlan(b)));
      const back = planFromJson(JSON.parse(stored(a)) as JsonObject); // the text of an object
      expect(back).toEqual(envelopePlan(a));
    }),
    { seed: 20260107, numRuns: 500 },
  );
  for (const [member, changed] of [
    ["params", { page: 2 }],
    ["calls", 4],
    ["plain", ["http://api.example.com"]],
    ["responseHeaders", []],
    ["targets", []],
  ] as const)
    expect(stored({ [member]: changed })).not.toBe(stored({}));
});

test("a plan names its secrets and no other", () => {
  expect(secretsOf(databasePlan())).toEqual([]);
  expect(secretsOf(databasePlan({ secret: "DB_PASSWORD" }))).toEqual(["DB_PASSWORD"]);
  expect(secretsOf(storagePlan())).toEqual(["S3_SECRET"]);
  expect(secretsOf(httpPlan())).toEqual([]);
});
