import { describe, expect, test } from "bun:test";
import { weakenings } from "../../src/actions/override.ts";
import type { HttpEffect } from "../../src/core/effect.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { envelopeWords } from "../../src/core/plan/envelope.ts";
import type { EnvelopePlan } from "../../src/core/plan.ts";
import { actionOf, envelopeText, httpText, type Members, parse, problemsOf } from "./manifests.ts";

const TARGET = { hosts: ["api.example.com"], methods: ["GET"], paths: ["/items"] };
const envelope = (target: Members = {}, rest: Members = {}) =>
  envelopeText({ envelope: { targets: [{ ...TARGET, ...target }], ...rest } });
const auth = (...entries: Members[]) =>
  envelopeText({
    auth: entries.map((entry) => ({ secret: "TOKEN", in: "bearer", hosts: ["api.example.com"], ...entry })),
  });

function planOf(
  text: string,
  params: JsonObject = {},
  local: { host: string; port: number; plain?: boolean }[] = [],
) {
  const result = actionOf(text).plan(params, { fsRoot: null, local });
  if (!result.ok || result.plan.kind !== "envelope") throw new Error("not planned");
  return { plan: result.plan, unresolved: result.unresolved };
}

test("a sound one is taken", () => {
  expect(problemsOf(envelopeText())).toEqual([]);
});

test("another section beside it is refused", () => {
  const http = { method: "GET", url: "https://api.example.com/" };
  expect(problemsOf(envelopeText({ http }))).toContain(
    "manifest_invalid : must have exactly one of the sections http, fs, database, smtp, queue, storage, envelope",
  );
});

test("an envelope is as risky as its widest method, whatever effects it declares", () => {
  const text = envelope({ methods: ["GET", "DELETE"] }, {});
  expect(problemsOf(text)).toEqual([
    "manifest_invalid effects: method DELETE needs the effect http_delete",
    "manifest_invalid risk.level: medium is below high, which the methods and effects of the envelope imply",
  ]);
});

test("a built-in provider computes nothing", () => {
  expect(problemsOf(envelopeText({ provider: "builtin:http_api" }))).toEqual([
    "manifest_invalid provider: builtin:http_api needs an http section",
    "manifest_invalid provider: an envelope is for a component of your own: sha256: and its digest",
  ]);
});

test.each<[string, string, string]>([
  [
    "an unknown member",
    envelope({ host: "api.example.com" }),
    "envelope.targets.0.host: unknown key host; did you mean hosts?",
  ],
  ["secrets of its own", envelope({}, { secrets: ["TOKEN"] }), "envelope.secrets: unknown key secrets"],
  [
    "no target",
    envelopeText({ envelope: { targets: [] } }),
    "envelope.targets: too small: expected array to have >=1 items",
  ],
  [
    "a host that is none",
    envelope({ hosts: ["https://api.example.com"] }),
    "envelope.targets.0.hosts.0: must be a host name alone",
  ],
  [
    "a top-level domain",
    envelope({ hosts: ["*.com"] }),
    "envelope.targets.0.hosts.0: a wildcard needs a name of at least two labels, such as *.example.com",
  ],
  [
    "a host that is not in its normal form",
    envelope({ hosts: ["api.exämple.com"] }),
    "envelope.targets.0.hosts.0: must be written as api.xn--exmple-cua.com",
  ],
  [
    "a method that nobody knows",
    envelope({ methods: ["TRACE"] }),
    "envelope.targets.0.methods.0: must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
  ],
  [
    "a method twice",
    envelope({ methods: ["GET", "GET"] }),
    "envelope.targets.0.methods: names something twice",
  ],
  [
    "a path with a query",
    envelope({ paths: ["/items?a=b"] }),
    "envelope.targets.0.paths.0: must be a path alone",
  ],
  [
    "a path with dots",
    envelope({ paths: ["/items/.."] }),
    "envelope.targets.0.paths.0: must be written as /",
  ],
  [
    "a path with an encoded slash",
    envelope({ paths: ["/a%2fb"] }),
    "envelope.targets.0.paths.0: must have no empty, dot or doubly encoded segment",
  ],
  [
    "no path",
    envelope({ paths: [] }),
    "envelope.targets.0.paths: too small: expected array to have >=1 items",
  ],
  ["port 0", envelope({ ports: [0] }), "envelope.targets.0.ports.0: too small: expected number to be >=1"],
  [
    "more calls than the limit",
    envelope({}, { calls: 3 }),
    "envelope.calls: 3 calls are more than limits.io_calls 2",
  ],
  ["no call", envelope({}, { calls: 0 }), "envelope.calls: too small: expected number to be >=1"],
  [
    "egress",
    envelopeText({ egress: { hosts: ["api.example.com"] } }),
    "egress: an envelope names its hosts itself",
  ],
  [
    "a response schema",
    envelopeText({ response: { schema: { type: "object" } } }),
    "response: an envelope has no one remote response that a schema could describe",
  ],
  [
    "the verification of a request",
    envelopeText({ verify: { kind: "http" } }),
    "verify: kind http needs an http section",
  ],
  [
    "calls that cannot be",
    envelopeText({ verify: { kind: "envelope", calls: { min: 3 } } }),
    "verify.calls.min: 3 calls cannot be made: the envelope has 2",
  ],
  [
    "the effect of its widest method missing",
    envelopeText({ effects: ["http_read"] }),
    "effects: method PUT needs the effect http_write or http_delete",
  ],
  [
    "a risk below its widest method",
    envelopeText({ risk: { level: "low", because: "it says so" } }),
    "risk.level: low is below medium, which the methods and effects of the envelope imply",
  ],
  [
    "a search by POST that calls itself a read",
    envelopeText({ effects: ["http_read"], envelope: { targets: [{ ...TARGET, methods: ["POST"] }] } }),
    "effects: method POST needs the effect http_write or http_delete",
  ],
  [
    "a high risk that nobody verifies",
    envelopeText({ risk: { level: "high" }, verify: { kind: "none" } }),
    "verify: a high risk needs a verification: any kind but none",
  ],
  [
    "a credential for a host outside",
    auth({ hosts: ["evil.example"] }),
    "auth.0.hosts: evil.example is not among the hosts of the envelope, by its own name",
  ],
  [
    "a credential for a wildcard",
    auth({ hosts: ["*.example.com"] }),
    "auth.0.hosts.0: must be an exact host name, not a wildcard",
  ],
  [
    "a credential in the path",
    auth({ in: "path", name: "token" }),
    "auth.0.in: an envelope has no path that a credential could stand in",
  ],
  [
    "a credential in the body",
    auth({ in: "body", name: "/token" }),
    "auth.0.in: an envelope has no body that a credential could stand in",
  ],
  [
    "two credentials in one place",
    auth({}, { secret: "OTHER" }),
    "auth.1.name: is the place of auth.0 already, at api.example.com",
  ],
  [
    "a credential in the host header",
    auth({ in: "header", name: "host" }),
    "auth.0.name: the header host cannot carry a credential",
  ],
  ["a credential without its header", auth({ in: "header" }), "auth.0.name: is required"],
  ["a bearer with a name", auth({ name: "x" }), "auth.0.name: bearer is always the authorization header"],
  [
    "a query parameter that would be two",
    auth({ in: "query", name: "a&b" }),
    "auth.0.name: must be letters, digits and -._~",
  ],
])("%s is refused", (_what, text, problem) => {
  expect(problemsOf(text)).toEqual([`manifest_invalid ${problem}`]);
});

test("a host that only a wildcard covers gets no credential", () => {
  const text = envelopeText({
    envelope: { targets: [{ ...TARGET, hosts: ["*.example.com"] }] },
    auth: [{ secret: "TOKEN", in: "bearer", hosts: ["api.example.com"] }],
  });
  expect(problemsOf(text)).toEqual([
    "manifest_invalid auth.0.hosts: api.example.com is not among the hosts of the envelope, by its own name",
  ]);
});

test("an envelope needs a verification kind of its own", () => {
  expect(problemsOf(httpText({ verify: { kind: "envelope" } }))).toEqual([
    "manifest_invalid verify: kind envelope needs an envelope section",
  ]);
});

describe("the plan", () => {
  test("is what the manifest declares, with the parameters", () => {
    const text = envelopeText({
      auth: [
        { secret: "FILES_KEY", in: "query", name: "key", hosts: ["files.example.com"], required: false },
        { secret: "TOKEN", in: "bearer", hosts: ["api.example.com"] },
      ],
      response: { headers: ["etag"] },
    });
    const params = { item: "a", deep: { b: [1, null] } };
    const { plan, unresolved } = planOf(text, params);
    expect(plan).toEqual({
      kind: "envelope",
      params,
      targets: [
        { hosts: ["api.example.com"], methods: ["GET", "PUT"], paths: ["/items"], ports: [443] },
        { hosts: ["files.example.com"], methods: ["GET"], paths: ["/"], ports: [443, 8443] },
      ],
      plain: [],
      calls: 2,
      responseHeaders: ["content-type", "etag"],
      secrets: [
        {
          secret: "FILES_KEY",
          in: "query",
          name: "key",
          format: "{secret}",
          origin: "https://files.example.com",
          required: false,
        },
        {
          secret: "FILES_KEY",
          in: "query",
          name: "key",
          format: "{secret}",
          origin: "https://files.example.com:8443",
          required: false,
        },
        {
          secret: "TOKEN",
          in: "header",
          name: "authorization",
          format: "Bearer {secret}",
          origin: "https://api.example.com",
          required: true,
        },
      ],
    });
    expect(unresolved).toEqual({ hosts: [], paths: [] });
    expect(JSON.parse(actionOf(text).task(plan))).toEqual({ params, timeout_ms: 30_000 });
    expect(envelopeWords(plan)).toEqual([
      "the component computes its own requests: up to 2 of them, any that the lines below allow",
      "GET, PUT to api.example.com on port 443, at or below /items, with any query, headers and body",
      "GET to files.example.com on port 443, 8443, at or below /, with any query, headers and body",
      "with FILES_KEY (query key) in every request to https://files.example.com, if there is one",
      "with FILES_KEY (query key) in every request to https://files.example.com:8443, if there is one",
      "with TOKEN (header authorization) in every request to https://api.example.com",
    ]);
  });

  test("says that hosts below a wildcard are nobody's yet", () => {
    const { plan, unresolved } = planOf(envelope({ hosts: ["*.example.com", "api.example.com"] }));
    expect(unresolved.hosts).toEqual(["*.example.com"]);
    expect(envelopeWords(plan)[1]).toStartWith("GET to any host below example.com, api.example.com on");
  });

  test("opens plain http only where the configuration does, inside, and where no credential goes", () => {
    const text = envelopeText({
      envelope: { targets: [{ ...TARGET, hosts: ["api.example.com", "b.example.com"], ports: [80, 8080] }] },
      auth: [{ secret: "TOKEN", in: "bearer", hosts: ["b.example.com"] }],
    });
    const { plan } = planOf(text, {}, [
      { host: "api.example.com", port: 8080, plain: true },
      { host: "api.example.com", port: 80, plain: true },
      { host: "api.example.com", port: 8081, plain: true },
      { host: "b.example.com", port: 8080, plain: true },
      { host: "other.example.com", port: 80, plain: true },
    ]);
    expect(plan.plain).toEqual(["http://api.example.com", "http://api.example.com:8080"]);
    expect(planOf(text, {}, [{ host: "api.example.com", port: 80, plain: false }]).plan.plain).toEqual([]);
    expect(planOf(text, {}, [{ host: "api.example.com", port: 80 }]).plan.plain).toEqual([]);
  });
});

test("what clients are told of the action names the envelope", () => {
  const detail = actionOf(envelopeText()).detail();
  expect(detail).toMatchObject({
    envelope: { calls: 2, targets: [{ hosts: ["api.example.com"] }, { ports: [443, 8443] }] },
    egress: { allowed_domains: ["api.example.com", "files.example.com"], may_learn: false },
    verification: "envelope",
  });
  expect(actionOf(envelopeText()).egressHosts).toEqual(["api.example.com", "files.example.com"]);
});

describe("an override", () => {
  const manifestOf = (text: string) => {
    const result = parse(text);
    if (!result.ok) throw new Error(result.problems[0]?.message);
    return result.manifest;
  };
  const before = manifestOf(envelopeText({ verify: { kind: "envelope", status: [200] } }));
  const [first, second] = before.envelope?.targets ?? [];

  test.each<[string, Members, string[]]>([
    ["the same", {}, []],
    ["fewer calls", { calls: 1 }, []],
    ["a narrower path", { targets: [{ ...first, paths: ["/items/a"] }] }, []],
    ["a method less", { targets: [{ ...first, methods: ["PUT"] }, second] }, []],
    ["more calls", { calls: 3 }, ["widens the envelope: 3 calls"]],
    [
      "another host",
      { targets: [{ ...first, hosts: ["b.example.com"] }] },
      ["widens the envelope: target 1"],
    ],
    [
      "a wildcard",
      { targets: [first, { ...second, hosts: ["*.example.com"] }] },
      ["widens the envelope: target 2"],
    ],
    ["another method", { targets: [{ ...first, methods: ["POST"] }] }, ["widens the envelope: target 1"]],
    ["another port", { targets: [{ ...first, ports: [8443] }] }, ["widens the envelope: target 1"]],
    ["a wider path", { targets: [{ ...first, paths: ["/"] }] }, ["widens the envelope: target 1"]],
    [
      "a method of one target at the host of another",
      { targets: [{ ...second, methods: ["PUT"] }] },
      ["widens the envelope: target 1"],
    ],
  ])("with %s", (_what, change, found) => {
    const after = manifestOf(
      envelopeText({
        verify: { kind: "envelope", status: [200] },
        envelope: { ...before.envelope, ...change },
        limits: { io_calls: 5 },
      }),
    );
    expect(weakenings(before, after)).toEqual(found);
  });

  test("by an envelope of an exact plan, and with another verification", () => {
    const exact = manifestOf(httpText({ provider: before.provider, verify: { kind: "http" } }));
    expect(weakenings(exact, before)).toContain("widens the plan: an envelope in place of an exact one");
    const loose = manifestOf(envelopeText({ verify: { kind: "envelope" } }));
    expect(weakenings(before, loose)).toEqual([
      "weakens verification: expects another number of calls, or other statuses",
    ]);
  });
});

describe("the verification", () => {
  const PLAN = planOf(
    envelopeText({ auth: [{ secret: "TOKEN", in: "bearer", hosts: ["api.example.com"] }] }),
  ).plan;
  const seen = (changes: Partial<HttpEffect> = {}): HttpEffect => ({
    kind: "http",
    purpose: "effect",
    method: "GET",
    origin: "https://api.example.com",
    target: "/items/a?b=c",
    address: "192.0.2.1",
    requestBytes: 0,
    requestHash: null,
    status: 200,
    responseBytes: 0,
    responseHash: null,
    secrets: ["TOKEN"],
    scrubbed: 0,
    reached: "confirmed",
    error: null,
    ...changes,
  });
  const judged = (
    effects: readonly HttpEffect[],
    verify: Members = { kind: "envelope" },
    plan: EnvelopePlan = PLAN,
  ) => actionOf(envelopeText({ verify })).expect({ ok: true }, effects, plan, {}, null);

  test("wants every request inside, answered and as expected", () => {
    expect(judged([seen()])).toEqual({ outcome: "verified", reasons: [] });
    expect(judged([seen(), seen({ method: "PUT", target: "/items", status: 204 })]).outcome).toBe("verified");
    expect(judged([seen({ status: 304 })], { kind: "envelope", status: [200, 304] }).outcome).toBe(
      "verified",
    );
    expect(judged([seen({ status: 500 })], { kind: "none" }).outcome).toBe("unverifiable_declared");
  });

  test.each<[string, HttpEffect[], string, Members?]>([
    ["none at all", [], "no effect was observed"],
    [
      "one that was refused",
      [seen(), seen({ origin: "", target: "", reached: "none", error: "host_not_allowed" })],
      "a host call ended with host_not_allowed",
    ],
    ["one that nobody answered", [seen(), seen({ reached: "maybe" })], "an effect was not confirmed"],
    ["one too many", [seen(), seen(), seen()], "more calls were observed than the envelope has"],
    [
      "another host",
      [seen({ origin: "https://evil.example" })],
      "an observed request is outside of the envelope: host_not_allowed",
    ],
    [
      "another port",
      [seen({ origin: "https://api.example.com:8443" })],
      "an observed request is outside of the envelope: port_not_allowed",
    ],
    [
      "another method",
      [seen({ method: "POST" })],
      "an observed request is outside of the envelope: operation_not_allowed",
    ],
    [
      "another path",
      [seen({ target: "/itemsx" })],
      "an observed request is outside of the envelope: path_not_allowed",
    ],
    [
      "plain http",
      [seen({ origin: "http://api.example.com:443" })],
      "an observed request is outside of the envelope: scheme_not_allowed",
    ],
    [
      "a credential elsewhere",
      [seen({ origin: "https://files.example.com" })],
      "a credential was sent to another origin than its own",
    ],
    ["an answer that is no success", [seen(), seen({ status: 404 })], "the status 404 was not expected"],
    [
      "a status beside the list",
      [seen({ status: 201 })],
      "the status 201 was not expected",
      { kind: "envelope", status: [200] },
    ],
    [
      "fewer than expected",
      [seen()],
      "1 calls were answered, which was not expected",
      { kind: "envelope", calls: { min: 2 } },
    ],
    [
      "more than expected",
      [seen(), seen()],
      "2 calls were answered, which was not expected",
      { kind: "envelope", calls: { max: 1 } },
    ],
    [
      "another path, where nothing is expected",
      [seen({ target: "/admin" })],
      "an observed request is outside of the envelope: path_not_allowed",
      { kind: "none" },
    ],
    [
      "a path that readers disagree on",
      [seen({ target: "/items/%252e%252e/admin" })],
      "an observed request is outside of the envelope: path_not_allowed",
    ],
  ])("fails for %s", (_what, effects, reason, verify = { kind: "envelope" }) => {
    const { outcome, reasons } = judged(effects, verify);
    expect(outcome).toBe("verification_failed");
    expect(reasons).toContain(reason);
  });
});
