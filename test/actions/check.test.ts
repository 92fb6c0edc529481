import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/core/json.ts";
import { actionOf, httpText, type Members } from "./manifests.ts";

function withParams(properties: Members, rest: Members = {}, limits: Members = {}) {
  const json = Object.fromEntries(Object.keys(properties).map((name) => [name, { $param: name }]));
  return actionOf(
    httpText({
      params: { type: "object", properties, ...rest },
      http: { method: "POST", url: "https://api.example.com/x", body: { json } },
      limits,
    }),
  );
}

const problems = (action: ReturnType<typeof withParams>, body: JsonObject) => {
  const checked = action.check(body);
  return checked.ok ? [] : checked.problems;
};

test("defaults are applied to the params, the body stays as it was", () => {
  const action = withParams({
    a: { type: "string", default: "x" },
    b: {
      type: "object",
      properties: {
        c: { type: "integer", default: 3 },
      },
    },
  });
  const body = { b: {} };
  expect(action.check(body)).toEqual({ ok: true, params: { a: "x", b: { c: 3 } } });
  expect(body).toEqual({ b: {} });
});

test("a default object is a fresh one for every call", () => {
  const action = withParams({ a: { type: "array", items: { type: "string" }, default: ["x"] } });
  const first = action.check({});
  const second = action.check({});
  expect(first.ok && second.ok && first.params.a !== second.params.a).toBe(true);
});

test("a null for an optional parameter that cannot be null is as if absent", () => {
  const action = withParams(
    {
      plain: { type: "string" },
      filled: { type: "string", default: "x" },
      listed: { enum: ["a", "b"] },
      referred: { $ref: "#/$defs/name" },
      either: { anyOf: [{ type: "string" }, { type: "integer" }] },
    },
    { $defs: { name: { type: "string" } } },
  );
  const body = { plain: null, filled: null, listed: null, referred: null, either: null };
  expect(action.check(body)).toEqual({ ok: true, params: { filled: "x" } });
});

test("a null that can be meant stays", () => {
  const properties = {
    typed: { type: ["string", "null"] },
    listed: { enum: ["a", null] },
    anything: {},
    either: { oneOf: [{ type: "string" }, { type: "null" }] },
    constant: { const: null },
  };
  const body = { typed: null, listed: null, anything: null, either: null, constant: null };
  expect(withParams(properties).check(body)).toEqual({ ok: true, params: body });
});

test("a null for a required parameter, or deeper inside, is refused", () => {
  const action = withParams(
    { a: { type: "string" }, b: { type: "object", properties: { c: { type: "string" } } } },
    {
      required: ["a"],
    },
  );
  expect(problems(action, { a: null })).toEqual(["/a: must be string"]);
  expect(problems(action, { a: "x", b: { c: null } })).toEqual(["/b/c: must be string"]);
});

test("problems name place and rule, never the value", () => {
  const action = withParams(
    {
      a: { type: "string", maxLength: 3 },
      b: { type: "string", pattern: "^[a-z]+$" },
      c: { type: "integer" },
      d: { enum: ["x", "y"] },
    },
    {
      required: ["e"],
      properties: {
        a: { type: "string", maxLength: 3 },
        b: { type: "string", pattern: "^[a-z]+$" },
        c: { type: "integer" },
        d: { enum: ["x", "y"] },
        e: { const: "only" },
      },
    },
  );
  const secret = "hunter2-hunter2";
  const lines = problems(action, { a: secret, b: "HUNTER2", c: secret, d: secret });
  expect(lines).toEqual([
    "e is required",
    "/a: must NOT have more than 3 characters",
    "/b: must match ^[a-z]+$",
    "/c: must be integer",
    '/d: must be one of ["x","y"]',
  ]);
  expect(lines.join()).not.toContain(secret);
});

test("an unknown member is refused, and its name is quoted and cut", () => {
  const action = withParams({ a: { type: "object", properties: { b: { type: "string" } } } });
  expect(problems(action, { "x\u202e\n": 1 })).toEqual(['unknown member "x\u202e\\n"']);
  expect(problems(action, { a: { c: 1 } })).toEqual(["/a: unknown member c"]);
  expect(problems(action, { ["y".repeat(5000)]: 1 })).toEqual([`unknown member "${"y".repeat(64)}…"`]);
});

test.each(["constructor", "toString", "hasOwnProperty", "valueOf"])(
  "the inherited name %s is unknown",
  (name) => {
    expect(problems(withParams({ a: {} }), { [name]: 1 })).toEqual([`unknown member ${name}`]);
  },
);

test("an inherited name counts as absent where it is required", () => {
  const action = withParams({ a: { type: "object", required: ["toString"], properties: { toString: {} } } });
  expect(problems(action, { a: {} })).toEqual(["/a: toString is required"]);
});

test("two patterns are two patterns", () => {
  const action = withParams({
    a: { type: "string", pattern: "^a+$" },
    b: { type: "string", pattern: "^b+$" },
  });
  expect(problems(action, { a: "aa", b: "bb" })).toEqual([]);
  expect(problems(action, { a: "bb", b: "aa" })).toEqual(["/a: must match ^a+$", "/b: must match ^b+$"]);
});

test("a dollar sign is the end of the text, not of a line", () => {
  const action = withParams({ a: { type: "string", pattern: "^[a-z]+$" } });
  expect(problems(action, { a: "abc\n" })).toEqual(["/a: must match ^[a-z]+$"]);
  expect(problems(action, { a: "abc\nABC" })).toEqual(["/a: must match ^[a-z]+$"]);
});

test("a pattern that ruins a backtracking engine takes linear time", () => {
  const action = withParams({ a: { type: "string", pattern: "^(a+)+$" } });
  // A backtracking engine would take longer than the test may: 2^60000 steps.
  expect(problems(action, { a: `${"a".repeat(60_000)}!` })).toEqual(["/a: must match ^(a+)+$"]);
});

test.each([
  ["date", "2024-02-29", "2023-02-29"],
  ["date-time", "2024-02-29T12:00:00.5+01:00", "2024-02-29 12"],
  ["time", "23:59:60Z", "24:00:00Z"],
  ["email", "a.b+c@example.com", "a@b@c"],
  ["email", "a@localhost", "Bob <a@example.com>"],
  ["hostname", "a-1.example.com", "-a.example.com"],
  ["ipv4", "192.0.2.1", "192.0.2.01"],
  ["ipv6", "2001:db8::1", "fe80::1%eth0"],
  ["uri", "https://example.com/a", "javascript:alert(1)"],
  ["uuid", "01234567-89ab-7000-bfff-ffffffffffff", "01234567"],
])("format %s accepts %j and refuses %j", (format, good, bad) => {
  const action = withParams({ a: { type: "string", format } });
  expect(problems(action, { a: good })).toEqual([]);
  expect(problems(action, { a: bad })).toEqual([`/a: must match format "${format}"`]);
});

test("contentEncoding base64 is asserted", () => {
  const action = withParams({ a: { type: "string", contentEncoding: "base64" } });
  expect(problems(action, { a: "aGk=" })).toEqual([]);
  for (const a of ["aGk", "aG k=", "aGl=", "a-_="])
    expect(problems(action, { a })).toEqual(["/a: must be padded base64"]);
});

test("parameters larger than request_kb are refused", () => {
  const action = withParams({ a: { type: "string" } }, {}, { request_kb: 1 });
  expect(problems(action, { a: "x".repeat(1016) })).toEqual([]);
  expect(problems(action, { a: "x".repeat(1017) })).toEqual(["the parameters are larger than 1 kb"]);
  expect(problems(action, { a: "\u20ac".repeat(339) })).toEqual(["the parameters are larger than 1 kb"]);
});

test("an action without params takes an empty object alone", () => {
  const action = actionOf(
    httpText({
      params: undefined,
      http: { method: "GET", url: "https://api.example.com/" },
      effects: ["http_read"],
    }),
  );
  expect(action.check({})).toEqual({ ok: true, params: {} });
  expect(problems(action, { a: 1 })).toEqual(["unknown member a"]);
  expect(action.paramsSchema).toEqual({ type: "object", properties: {}, additionalProperties: false });
});
