import { expect, test } from "bun:test";
import { type Action, createAction } from "../../src/actions/action.ts";
import type { Verification } from "../../src/actions/expect/judge.ts";
import { sha256Hex } from "../../src/core/bytes.ts";
import type { FsEffect, HttpEffect, ObservedEffect } from "../../src/core/effect.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";
import type { FsPlan, HttpPlan } from "../../src/core/plan.ts";
import { actionOf, fsText, httpText, type Members } from "./manifests.ts";

const old = sha256Hex("old");
const hi = sha256Hex("hi");
const request: JsonObject = { repo: "r", title: "t" };
const body = '{"title":"t","number":7,"labels":[],"user":{"name":null}}';

function httpPlan(action: Action): HttpPlan {
  const result = action.plan(request, { fsRoot: null });
  if (!result.ok || result.plan.kind !== "http") throw new Error("not planned");
  return result.plan;
}

const effectOf = (plan: HttpPlan, changes: Partial<HttpEffect> = {}): HttpEffect => ({
  kind: "http",
  method: plan.method,
  origin: "https://api.example.com",
  target: "/repos/r/issues",
  address: "192.0.2.1",
  requestBytes: plan.body?.byteLength ?? 0,
  requestHash: plan.body === null ? null : sha256Hex(plan.body),
  status: 201,
  responseBytes: body.length,
  responseHash: sha256Hex(body),
  secrets: [],
  scrubbed: 0,
  reached: "confirmed",
  error: null,
  ...changes,
});

const rawOf = (changes: object = {}): Json => ({
  ok: true,
  status: 201,
  headers: [["content-type", "application/json"]],
  body_base64: Buffer.from(body).toString("base64"),
  ...changes,
});

const verifying = (verify: Members, rest: Members = {}) =>
  actionOf(httpText({ verify: { kind: "http", ...verify }, ...rest }));

function judge(
  action: Action,
  raw: Json,
  effects: readonly ObservedEffect[],
  params = request,
): Verification {
  return action.expect(raw, effects, httpPlan(action), params);
}

const plain = verifying({});
const good = effectOf(httpPlan(plain));

test("the planned effect, seen and told as it was, is verified", () => {
  expect(judge(plain, rawOf(), [good])).toEqual({ outcome: "verified", reasons: [] });
});

const failures: [string, Json, ObservedEffect[], string[]][] = [
  ["no effect", rawOf(), [], ["no effect was observed"]],
  ["a claimed success without one", rawOf({ status: 200 }), [], ["no effect was observed"]],
  ["two effects", rawOf(), [good, good], ["more than one effect was observed"]],
  [
    "a second, refused call",
    rawOf(),
    [good, { ...good, reached: "none", error: "differs_from_plan" }],
    ["a host call ended with differs_from_plan", "more than one effect was observed"],
  ],
  [
    "an unconfirmed effect",
    rawOf(),
    [{ ...good, reached: "maybe", error: "connection_reset" }],
    ["a host call ended with connection_reset", "the effect was not confirmed"],
  ],
  ["another method", rawOf(), [{ ...good, method: "GET" }], ["the observed method is not the planned one"]],
  [
    "another origin",
    rawOf(),
    [{ ...good, origin: "https://evil.example" }],
    ["the observed url is not the planned one"],
  ],
  ["another target", rawOf(), [{ ...good, target: "/repos/r" }], ["the observed url is not the planned one"]],
  [
    "another body",
    rawOf(),
    [{ ...good, requestHash: sha256Hex("x") }],
    ["the observed body is not the planned one"],
  ],
  ["no body", rawOf(), [{ ...good, requestHash: null }], ["the observed body is not the planned one"]],
  [
    "a status that was not expected",
    rawOf({ ok: false, status: 404 }),
    [{ ...good, status: 404 }],
    ["the status 404 was not expected"],
  ],
  ["a redirect", rawOf({ status: 302 }), [{ ...good, status: 302 }], ["the status 302 was not expected"]],
  [
    "no status",
    rawOf(),
    [{ ...good, status: null }],
    ["the provider reports another status than was observed", "the status is missing and was not expected"],
  ],
  [
    "a status that the provider made up",
    rawOf({ status: 200 }),
    [{ ...good, status: 500 }],
    ["the provider reports another status than was observed", "the status 500 was not expected"],
  ],
  [
    "a body that the provider made up",
    rawOf({ body_base64: "e30=" }),
    [good],
    ["the provider reports another body than was observed"],
  ],
  [
    "an effect of another kind",
    rawOf(),
    [fsEffect({})],
    ["the observed effect is of another kind than the plan"],
  ],
];

test.each(failures)("%s fails the verification", (_name, raw, effects, reasons) => {
  expect(judge(plain, raw, effects)).toEqual({ outcome: "verification_failed", reasons });
});

test("a status list is exact", () => {
  const strict = verifying({ status: [200, 202] });
  expect(judge(strict, rawOf(), [good]).reasons).toEqual(["the status 201 was not expected"]);
  expect(judge(strict, rawOf({ status: 202 }), [{ ...good, status: 202 }]).outcome).toBe("verified");
});

test.each([
  [{ pointer: "/title", equals: { $param: "title" } }, null],
  [{ pointer: "/title", equals: "t" }, null],
  [{ pointer: "/number", equals: 7 }, null],
  [{ pointer: "/labels", equals: [] }, null],
  [{ pointer: "/user", equals: { name: null } }, null],
  [{ pointer: "", type: "object" }, null],
  [{ pointer: "/number", type: "integer" }, null],
  [{ pointer: "/labels", type: "array" }, null],
  [{ pointer: "/user/name", type: "null" }, null],
  [{ pointer: "/title", equals: { $param: "text" } }, null],
  [{ pointer: "/title", equals: { $param: "repo" } }, "/title does not have the expected value"],
  [{ pointer: "/number", equals: "7" }, "/number does not have the expected value"],
  [{ pointer: "/missing", equals: null }, "/missing does not have the expected value"],
  [{ pointer: "/title", type: "number" }, "/title is not of type number"],
  [{ pointer: "/labels", type: "object" }, "/labels is not of type object"],
  [{ pointer: "/labels/0", type: "string" }, "/labels/0 is not of type string"],
  [{ pointer: "/toString", type: "object" }, "/toString is not of type object"],
  [{ pointer: "/labels/length", type: "number" }, "/labels/length is not of type number"],
  [{ pointer: "/title/0", type: "string" }, "/title/0 is not of type string"],
] as [object, string | null][])("the assertion %j on the body: %p", (assertion, fault) => {
  const result = judge(verifying({ assert: [assertion] }), rawOf(), [good]);
  expect(result.reasons).toEqual(fault === null ? [] : [fault]);
  expect(result.outcome).toBe(fault === null ? "verified" : "verification_failed");
});

test("nothing can be asserted about a body that is not json", () => {
  const asserting = verifying({ assert: [{ pointer: "/a", type: "string" }] });
  const raw = rawOf({ headers: [["content-type", "text/html"]] });
  expect(judge(asserting, raw, [good]).reasons).toEqual([
    "the response is not json, so nothing in it can be asserted",
  ]);
});

const schema = { type: "object", required: ["number"], properties: { number: { type: "integer" } } };
const typed = verifying({}, { response: { schema } });

test("a response that breaks its schema is rejected, even when the effect is as planned", () => {
  const wrong = '{"number":"7"}';
  const effect = effectOf(httpPlan(typed), { responseHash: sha256Hex(wrong) });
  expect(judge(typed, rawOf({ body_base64: Buffer.from(wrong).toString("base64") }), [effect])).toEqual({
    outcome: "rejected_response",
    reasons: ["/number: must be integer"],
  });
  expect(judge(typed, rawOf(), [good]).outcome).toBe("verified");
});

test("bytes, and a missing body, break every schema", () => {
  const bytes = rawOf({ headers: [], body_base64: "AAE=" });
  expect(judge(typed, bytes, [good]).reasons).toEqual(["the response is neither json nor text"]);
  expect(judge(typed, { ok: true, number: 7 }, [good]).reasons).toEqual([
    "the provider reports no response body",
  ]);
});

test("an error answer is not held against the schema, unless the host saw a success", () => {
  const missing = rawOf({ ok: false, status: 404, body_base64: "e30=" });
  const seen = effectOf(httpPlan(typed), { status: 404, responseHash: sha256Hex("{}") });
  expect(judge(typed, missing, [seen])).toEqual({
    outcome: "verification_failed",
    reasons: ["the status 404 was not expected"],
  });
  expect(judge(typed, missing, [{ ...seen, status: 200 }]).outcome).toBe("rejected_response");
});

test("an action that expects nothing is unverifiable, but a contradiction still fails", () => {
  const none = actionOf(httpText());
  expect(judge(none, rawOf(), [good])).toEqual({ outcome: "unverifiable_declared", reasons: [] });
  expect(judge(none, rawOf(), [])).toEqual({ outcome: "unverifiable_declared", reasons: [] });
  expect(judge(none, rawOf({ status: 500 }), [{ ...good, status: 500 }]).outcome).toBe(
    "unverifiable_declared",
  );
  expect(judge(none, rawOf(), [{ ...good, method: "PUT" }]).outcome).toBe("verification_failed");
});

function fsEffect(changes: Partial<FsEffect>): FsEffect {
  return {
    kind: "fs",
    operation: "overwrite",
    path: "notes/a",
    device: "1",
    inode: "2",
    beforeHash: old,
    afterHash: hi,
    bytesBefore: 3,
    bytesAfter: 2,
    reached: "confirmed",
    error: null,
    ...changes,
  };
}

const fs = actionOf(fsText());
const fsPlan = (changes: Partial<FsPlan> = {}): FsPlan => ({
  kind: "fs",
  operation: "overwrite",
  root: "/srv/root",
  path: "notes/a",
  content: Buffer.from("hi"),
  expectedBeforeHash: null,
  allow: ["notes/**"],
  deny: [],
  maxFileBytes: 1024,
  ...changes,
});
const wrote = { ok: true, path: "notes/a", after_hash: `sha256:${hi}`, bytes_written: 2 };
const readPlan = fsPlan({ operation: "read", content: null });
const didRead = { ok: true, path: "notes/a", size_bytes: 2, hash: `sha256:${hi}`, content_base64: "aGk=" };
const readEffect = fsEffect({ operation: "read", beforeHash: null });
const deletePlan = fsPlan({ operation: "delete", content: null });
const deleted = { ok: true, path: "notes/a", deleted: true };
const deleteEffect = fsEffect({ operation: "delete", afterHash: null });

test("where nothing is to be verified, a read may keep to itself what it read, but not tell it wrongly", () => {
  const quiet = actionOf(
    fsText({
      risk: { level: "low" },
      effects: ["fs_read"],
      params: { type: "object", required: ["path"], properties: { path: { type: "string" } } },
      fs: { operation: "read", path: { $param: "path" }, allow: ["notes/**"] },
      verify: { kind: "none" },
    }),
  );
  const told = { ok: true, path: "notes/a", words: 1 };
  expect(quiet.expect(told, [readEffect], readPlan, {}).outcome).toBe("unverifiable_declared");
  expect(fs.expect(told, [readEffect], readPlan, {}).outcome).toBe("verification_failed");
  for (const wrong of [
    { hash: "sha256:00" },
    { content_base64: "aG8=" },
    { hash: null },
    { path: "notes/b" },
  ])
    expect(quiet.expect({ ...told, ...wrong }, [readEffect], readPlan, {}).outcome).toBe(
      "verification_failed",
    );
});

test.each([
  ["an overwrite", fsPlan(), wrote, fsEffect({})],
  ["an overwrite of the expected content", fsPlan({ expectedBeforeHash: old }), wrote, fsEffect({})],
  ["a creation", fsPlan({ operation: "create" }), wrote, fsEffect({ operation: "create", beforeHash: null })],
  ["a read", readPlan, didRead, readEffect],
  ["a deletion", deletePlan, deleted, deleteEffect],
] as [string, FsPlan, Json, FsEffect][])("%s is verified by its hashes", (_name, plan, raw, effect) => {
  expect(fs.expect(raw, [effect], plan, {})).toEqual({ outcome: "verified", reasons: [] });
});

test.each([
  [
    "another operation",
    fsPlan(),
    wrote,
    fsEffect({ operation: "create", beforeHash: old }),
    ["the observed operation is not the planned one"],
  ],
  [
    "another path",
    fsPlan(),
    wrote,
    fsEffect({ path: "notes/b" }),
    ["the observed path is not the planned one"],
  ],
  [
    "other content",
    fsPlan({ content: Buffer.from("ho") }),
    wrote,
    fsEffect({}),
    ["the written content is not the planned one"],
  ],
  [
    "no hash of what was written",
    fsPlan(),
    wrote,
    fsEffect({ afterHash: null }),
    ["the written content is not the planned one", "the provider reports another hash than was observed"],
  ],
  [
    "a hash that the provider made up",
    fsPlan(),
    { ...wrote, after_hash: `sha256:${old}` },
    fsEffect({}),
    ["the provider reports another hash than was observed"],
  ],
  [
    "an overwrite without an old hash",
    fsPlan(),
    wrote,
    fsEffect({ beforeHash: null }),
    ["the host has no hash of the old content"],
  ],
  [
    "a creation over a file",
    fsPlan({ operation: "create" }),
    wrote,
    fsEffect({ operation: "create" }),
    ["the created file was there before"],
  ],
  [
    "an old content that was not expected",
    fsPlan({ expectedBeforeHash: hi }),
    wrote,
    fsEffect({}),
    ["the old content is not the expected one"],
  ],
  [
    "a provider that reports failure",
    fsPlan(),
    { ok: false, error: { code: "x", message: "x" } },
    fsEffect({}),
    [
      "the provider does not report success for the path",
      "the provider reports another hash than was observed",
    ],
  ],
  [
    "a read whose content was made up",
    readPlan,
    { ...didRead, content_base64: "aG8=" },
    readEffect,
    ["the provider reports other content than was read"],
  ],
  [
    "a read without a hash",
    readPlan,
    didRead,
    fsEffect({ operation: "read", beforeHash: null, afterHash: null }),
    [
      "the host has no hash of what was read",
      "the provider reports another hash than was observed",
      "the provider reports other content than was read",
    ],
  ],
  [
    "a deletion that left something",
    deletePlan,
    deleted,
    fsEffect({ operation: "delete" }),
    ["the host has no hash of what was deleted"],
  ],
  [
    "a deletion that is not reported",
    deletePlan,
    { ok: true, path: "notes/a" },
    deleteEffect,
    ["the provider does not report the deletion"],
  ],
] as [string, FsPlan, Json, FsEffect, string[]][])(
  "%s fails the verification",
  (_name, plan, raw, effect, reasons) => {
    expect(fs.expect(raw, [effect], plan, {})).toEqual({ outcome: "verification_failed", reasons });
  },
);

test("an action is made of checked manifests alone", () => {
  const source = { file: "a.yaml", origin: "test", text: "" };
  expect(() => createAction({ ...manifestWithoutSection() }, "sha256:00", source)).toThrow(
    "the manifest was not checked: no section",
  );
});

function manifestWithoutSection(): Parameters<typeof createAction>[0] {
  return {
    apiVersion: "latchgate/v1",
    id: "a",
    version: "1.0.0",
    summary: "A.",
    risk: { level: "low" },
    tags: [],
    effects: ["http_read"],
    provider: "builtin:http_api",
    params: { type: "object" },
    egress: { hosts: [], learn: false },
    auth: [],
    verify: { kind: "none" },
    response: { headers: [] },
    limits: { timeout_s: 1, fuel: 1000, memory_mb: 1, io_calls: 1, request_kb: 1, response_kb: 1 },
    policy_params: [],
    required_scopes: ["tools:call"],
    cost: { cents: 0 },
  };
}
