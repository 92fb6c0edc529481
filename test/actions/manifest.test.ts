import { expect, test } from "bun:test";
import { formatProblem } from "../../src/actions/index.ts";
import { fsText, httpText, type Members, parse, problemsOf } from "./manifests.ts";

test("the two manifests that these tests change are sound", () => {
  expect(problemsOf(httpText())).toEqual([]);
  expect(problemsOf(fsText())).toEqual([]);
});

const http = (http: Members, rest: Members = {}) => httpText({ http, ...rest });
const post = { method: "POST", url: "https://api.example.com/x" };

const shape: [string, string, string[]][] = [
  ["an unknown key", httpText({ tag: [] }), ["tag: unknown key tag; did you mean tags?"]],
  [
    "an unknown key inside",
    httpText({ risk: { levle: "low" } }),
    ["risk.level: is required", "risk.levle: unknown key levle; did you mean level?"],
  ],
  [
    "several unknown keys",
    httpText({ zzz: 1, limts: {} }),
    ["zzz: unknown key zzz", "limts: unknown key limts; did you mean limits?"],
  ],
  ["an approval field", httpText({ approval: true }), ["approval: unknown key approval"]],
  ["another format", httpText({ apiVersion: "latchgate/v2" }), ["apiVersion: must be latchgate/v1"]],
  ["no format", httpText({ apiVersion: undefined }), ["apiVersion: is required"]],
  [
    "a bad id",
    httpText({ id: "a b" }),
    ["id: must be 1 to 128 of A-Z a-z 0-9 _ -, starting with a letter or digit"],
  ],
  [
    "a version that yaml reads as a number",
    `${httpText({ version: undefined })}version: 1.0\n`,
    ["version: must be of type string"],
  ],
  ["a version that is none", httpText({ version: "1.0" }), ["version: must be a version such as 1.0.0"]],
  [
    "a summary of two lines",
    httpText({ summary: "a\nb" }),
    ["summary: must be one line of 1 to 200 characters"],
  ],
  [
    "a mistyped risk",
    httpText({ risk: { level: "hihg" } }),
    ["risk.level: must be one of low, medium, high, critical; did you mean high?"],
  ],
  ["no effect", httpText({ effects: [] }), ["effects: too small: expected array to have >=1 items"]],
  [
    "an unknown provider",
    httpText({ provider: "builtin:ftp" }),
    [
      "provider: must be builtin: and one of http_api, fs, database, smtp, queue, storage, or sha256: and 64 hex digits of a component",
    ],
  ],
  [
    "an unknown method",
    http({ ...post, method: "TRACE" }),
    ["http.method: must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"],
  ],
  [
    "two bodies",
    http({ ...post, body: { json: 1, text: "a" } }),
    ["http.body: must have exactly one of json, form, text, bytes"],
  ],
  [
    "a header that the gate sets",
    http({ ...post, headers: { host: "a" } }),
    ["http.headers.host: the header host is set by the gate"],
  ],
  [
    "a header with a credential",
    http({ ...post, headers: { authorization: "Bearer x" } }),
    [
      "http.headers.authorization: the header authorization carries a credential; it cannot stand in a manifest",
    ],
  ],
  [
    "a header in upper case",
    http({ ...post, headers: { Accept: "a" } }),
    ["http.headers.Accept: header names are lower-case tokens"],
  ],
  [
    "set-cookie to the agent",
    httpText({ response: { headers: ["set-cookie"] } }),
    ["response.headers.0: the header set-cookie is never shown to an agent"],
  ],
  [
    "a url as a host",
    httpText({ egress: { hosts: ["https://api.example.com"] } }),
    ["egress.hosts.0: must be a host name alone"],
  ],
  [
    "a host in upper case",
    httpText({ egress: { hosts: ["API.example.com"] } }),
    ["egress.hosts.0: must be written as api.example.com"],
  ],
  [
    "a host with a user",
    httpText({ egress: { hosts: ["me@api.example.com"] } }),
    ["egress.hosts.0: must be a host name such as api.example.com or *.example.com"],
  ],
  [
    "a host with a port",
    httpText({ egress: { hosts: ["api.example.com:8443"] } }),
    ["egress.hosts.0: must be a host name alone"],
  ],
  [
    "a wildcard over a top-level domain",
    httpText({ egress: { hosts: ["*.com"] } }),
    ["egress.hosts.0: a wildcard needs a name of at least two labels, such as *.example.com"],
  ],
  [
    "an entry with a bad port",
    httpText({ egress: { hosts: [{ host: "api.example.com", ports: [0] }] } }),
    ["egress.hosts.0.ports.0: too small: expected number to be >=1"],
  ],
  [
    "an unknown verification",
    httpText({ verify: { kind: "vibes" } }),
    ["verify.kind: kind must be http, fs_hash, database, smtp, queue, storage, envelope or none"],
  ],
  [
    "a pointer that is none",
    httpText({ verify: { kind: "http", assert: [{ pointer: "a", type: "string" }] } }),
    ["verify.assert.0.pointer: must be a json pointer such as /title (RFC 6901)"],
  ],
  [
    "an assertion of nothing",
    httpText({ verify: { kind: "http", assert: [{ pointer: "/a" }] } }),
    ["verify.assert.0: must have exactly one of equals, type"],
  ],
  [
    "a limit out of range",
    httpText({ limits: { timeout_s: 601 } }),
    ["limits.timeout_s: too big: expected number to be <=600"],
  ],
  [
    "a short reason",
    httpText({ override: { reason: "because" } }),
    ["override.reason: must be one line of 8 to 500 characters"],
  ],
  [
    "a scope without a colon",
    httpText({ required_scopes: ["tools"] }),
    ["required_scopes.0: must be a scope such as tools:call"],
  ],
];

const sections: [string, string, string[]][] = [
  [
    "no section",
    httpText({ http: undefined, egress: undefined, params: undefined }),
    [
      ": must have exactly one of the sections http, fs, database, smtp, queue, storage, envelope",
      "provider: builtin:http_api needs an http section",
    ],
  ],
  [
    "an fs provider for http",
    httpText({ provider: "builtin:fs" }),
    ["provider: builtin:fs needs an fs section"],
  ],
  [
    "an http provider for fs",
    fsText({ provider: "builtin:http_api" }),
    ["provider: builtin:http_api needs an http section"],
  ],
  [
    "fs_hash for http",
    httpText({ verify: { kind: "fs_hash" } }),
    ["verify: kind fs_hash needs an fs section"],
  ],
  ["http for fs", fsText({ verify: { kind: "http" } }), ["verify: kind http needs an http section"]],
  ["egress for fs", fsText({ egress: { learn: true } }), ["egress: an fs action has no egress"]],
  [
    "a response schema for fs",
    fsText({ response: { schema: {} } }),
    ["response: an fs action has no remote response"],
  ],
  [
    "scopes without tools:call",
    httpText({ required_scopes: ["other:scope"] }),
    ["required_scopes: must include tools:call"],
  ],
];

test.each([...shape, ...sections])("%s is refused", (_name, text, problems) => {
  expect(problemsOf(text)).toEqual(problems.map((problem) => `manifest_invalid ${problem}`));
});

test("problems name file and line", () => {
  const result = parse("apiVersion: latchgate/v1\nid: a\nversion: 1.0.0\nsummary: A.\nrisk:\n  levle: low\n");
  expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
    "a.yaml:5: risk.level: is required [manifest_invalid]",
    "a.yaml:6: risk.levle: unknown key levle; did you mean level? [manifest_invalid]",
    "a.yaml:1: effects: is required [manifest_invalid]",
    "a.yaml:1: provider: is required [manifest_invalid]",
  ]);
});

test("a component may have an exact plan of either kind", () => {
  const provider = `sha256:${"0a".repeat(32)}`;
  expect(problemsOf(httpText({ provider }))).toEqual([]);
  expect(problemsOf(fsText({ provider }))).toEqual([]);
});
