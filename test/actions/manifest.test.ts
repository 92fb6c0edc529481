import { expect, test } from "bun:test";
import { formatProblem } from "../../src/actions/index.ts";
import { fsText, httpText, type Members, parse, problemsOf } from "./manifests.ts";

test("the two manifests that these tests change are sound", () => {
  expect(problemsOf(httpText())).toEqual([]);
  expect(problemsOf(fsText())).toEqual([]);
});

const url = { type: "string" };
const whole = { http: { method: "GET", url: "{+url}" }, effects: ["http_read"] };
const only = (properties: Members, required: string[] = []) => ({
  params: { type: "object", required, properties },
});
const http = (http: Members, rest: Members = {}) => httpText({ http, ...rest });
const post = { method: "POST", url: "https://api.example.com/x" };

const shape: [string, string, string[]][] = [
  ["an unknown key", httpText({ tag: [] }), ["tag: unknown key tag; did you mean tags?"]],
  ["an unknown key inside", httpText({ risk: { levle: "low" } }), [
    "risk.level: is required",
    "risk.levle: unknown key levle; did you mean level?",
  ]],
  ["several unknown keys", httpText({ zzz: 1, limts: {} }), [
    "zzz: unknown key zzz",
    "limts: unknown key limts; did you mean limits?",
  ]],
  ["an approval field", httpText({ approval: true }), ["approval: unknown key approval"]],
  ["another format", httpText({ apiVersion: "latchgate/v2" }), ["apiVersion: must be latchgate/v1"]],
  ["no format", httpText({ apiVersion: undefined }), ["apiVersion: is required"]],
  ["a bad id", httpText({ id: "a b" }), [
    "id: must be 1 to 128 of A-Z a-z 0-9 _ -, starting with a letter or digit",
  ]],
  ["a version that yaml reads as a number", `${httpText({ version: undefined })}version: 1.0\n`, [
    "version: must be of type string",
  ]],
  ["a version that is none", httpText({ version: "1.0" }), ["version: must be a version such as 1.0.0"]],
  ["a summary of two lines", httpText({ summary: "a\nb" }), [
    "summary: must be one line of 1 to 200 characters",
  ]],
  ["a mistyped risk", httpText({ risk: { level: "hihg" } }), [
    "risk.level: must be one of low, medium, high, critical; did you mean high?",
  ]],
  ["no effect", httpText({ effects: [] }), ["effects: too small: expected array to have >=1 items"]],
  ["an unknown provider", httpText({ provider: "builtin:ftp" }), [
    "provider: must be builtin:http_api, builtin:fs or sha256: and 64 hex digits of a component",
  ]],
  ["an unknown method", http({ ...post, method: "TRACE" }), [
    "http.method: must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
  ]],
  ["two bodies", http({ ...post, body: { json: 1, text: "a" } }), [
    "http.body: must have exactly one of json, form, text, bytes",
  ]],
  ["a header that the gate sets", http({ ...post, headers: { host: "a" } }), [
    "http.headers.host: the header host is set by the gate",
  ]],
  ["a header with a credential", http({ ...post, headers: { authorization: "Bearer x" } }), [
    "http.headers.authorization: the header authorization carries a credential; it cannot stand in a manifest",
  ]],
  ["a header in upper case", http({ ...post, headers: { Accept: "a" } }), [
    "http.headers.Accept: header names are lower-case tokens",
  ]],
  ["set-cookie to the agent", httpText({ response: { headers: ["set-cookie"] } }), [
    "response.headers.0: the header set-cookie is never shown to an agent",
  ]],
  ["a url as a host", httpText({ egress: { hosts: ["https://api.example.com"] } }), [
    "egress.hosts.0: must be a host name alone",
  ]],
  ["a host in upper case", httpText({ egress: { hosts: ["API.example.com"] } }), [
    "egress.hosts.0: must be written as api.example.com",
  ]],
  ["a host with a user", httpText({ egress: { hosts: ["me@api.example.com"] } }), [
    "egress.hosts.0: must be a host name such as api.example.com or *.example.com",
  ]],
  ["a host with a port", httpText({ egress: { hosts: ["api.example.com:8443"] } }), [
    "egress.hosts.0: must be a host name alone",
  ]],
  ["a wildcard over a top-level domain", httpText({ egress: { hosts: ["*.com"] } }), [
    "egress.hosts.0: a wildcard needs a name of at least two labels, such as *.example.com",
  ]],
  ["an entry with a bad port", httpText({ egress: { hosts: [{ host: "api.example.com", ports: [0] }] } }), [
    "egress.hosts.0.ports.0: too small: expected number to be >=1",
  ]],
  ["an unknown verification", httpText({ verify: { kind: "vibes" } }), [
    "verify.kind: kind must be http, fs_hash or none",
  ]],
  ["a pointer that is none", httpText({ verify: { kind: "http", assert: [{ pointer: "a", type: "string" }] } }), [
    "verify.assert.0.pointer: must be a json pointer such as /title (RFC 6901)",
  ]],
  ["an assertion of nothing", httpText({ verify: { kind: "http", assert: [{ pointer: "/a" }] } }), [
    "verify.assert.0: must have exactly one of equals, type",
  ]],
  ["a limit out of range", httpText({ limits: { timeout_s: 601 } }), [
    "limits.timeout_s: too big: expected number to be <=600",
  ]],
  ["a short reason", httpText({ override: { reason: "because" } }), [
    "override.reason: must be one line of 8 to 500 characters",
  ]],
  ["a scope without a colon", httpText({ required_scopes: ["tools"] }), [
    "required_scopes.0: must be a scope such as tools:call",
  ]],
];

const sections: [string, string, string[]][] = [
  ["no section", httpText({ http: undefined, egress: undefined, params: undefined }), [
    ": must have exactly one of the sections http and fs",
    "provider: builtin:http_api needs an http section",
  ]],
  ["an fs provider for http", httpText({ provider: "builtin:fs" }), ["provider: builtin:fs needs an fs section"]],
  ["an http provider for fs", fsText({ provider: "builtin:http_api" }), [
    "provider: builtin:http_api needs an http section",
  ]],
  ["fs_hash for http", httpText({ verify: { kind: "fs_hash" } }), ["verify: kind fs_hash needs an fs section"]],
  ["http for fs", fsText({ verify: { kind: "http" } }), ["verify: kind http needs an http section"]],
  ["egress for fs", fsText({ egress: { learn: true } }), ["egress: an fs action has no egress"]],
  ["a response schema for fs", fsText({ response: { schema: {} } }), [
    "response: an fs action has no remote response",
  ]],
  ["scopes without tools:call", httpText({ required_scopes: ["other:scope"] }), [
    "required_scopes: must include tools:call",
  ]],
];

const risks: [string, string, string[]][] = [
  ["POST without a write effect", httpText({ effects: ["fs_read"] }), [
    "effects: method POST needs the effect http_write or http_delete",
  ]],
  ["PUT as a read", http({ ...post, method: "PUT" }, { ...only({}), effects: ["http_read"] }), [
    "effects: method PUT needs the effect http_write or http_delete",
  ]],
  ["GET without http_read", http({ ...post, method: "GET" }, { ...only({}), effects: ["other"] }), [
    "effects: method GET needs the effect http_read or http_write",
  ]],
  ["DELETE without http_delete", http({ ...post, method: "DELETE" }, { ...only({}), risk: { level: "high" } }), [
    "effects: method DELETE needs the effect http_delete",
    "verify: a high risk needs a verification: kind http or fs_hash",
  ]],
  ["fs delete without fs_delete", fsText({
    fs: { operation: "delete", path: { $param: "path" }, allow: ["a"] },
    ...only({ path: url }, ["path"]),
    effects: ["fs_write"],
    risk: { level: "critical" },
  }), ["effects: operation delete needs the effect fs_delete"]],
  ["a write at low", httpText({ risk: { level: "low", because: "it is fine" } }), [
    "risk.level: low is below medium, which a writing action needs",
  ]],
  ["a read by POST at low, unexplained", httpText({ risk: { level: "low" }, effects: ["http_read"] }), [
    "risk.level: low is below medium, which method and effects imply; say why in risk.because",
  ]],
  ["a DELETE at medium", http({ ...post, method: "DELETE" }, {
    ...only({}),
    effects: ["http_delete"],
    risk: { level: "medium", because: "small" },
  }), ["risk.level: medium is below high, which a deleting action needs"]],
  ["an fs write two steps lower", fsText({ risk: { level: "low", because: "small" } }), [
    "risk.level: low is more than one step below high, which method and effects imply",
  ]],
  ["high without verification", httpText({ risk: { level: "high" } }), [
    "verify: a high risk needs a verification: kind http or fs_hash",
  ]],
];

const targets: [string, string, string[]][] = [
  ["a host outside egress", httpText({ egress: { hosts: ["example.com"] } }), [
    "http.url: the host api.example.com:443 is outside egress.hosts",
  ]],
  ["a port outside egress", httpText({ egress: { hosts: [{ host: "api.example.com", ports: [8443] }] } }), [
    "http.url: the host api.example.com:443 is outside egress.hosts",
  ]],
  ["plain http that is not listed", http({ ...post, url: "http://api.example.com/" }, only({})), [
    "http.url: the host api.example.com:80 is outside egress.hosts",
  ]],
  ["an entry whose methods never apply", httpText({
    egress: { hosts: ["api.example.com", { host: "b.example.com", methods: ["GET"] }] },
  }), ["egress.hosts.1: never applies: its methods lack POST"]],
  ["learning for a fixed host", httpText({ egress: { hosts: ["api.example.com"], learn: true } }), [
    "egress.learn: has no use: the url fixes its host",
  ]],
  ["a whole url without hosts", httpText({ ...whole, ...only({ url }, ["url"]), egress: undefined }), [
    "egress: names no host; list hosts or set learn: true",
  ]],
  ["a host parameter beyond its wildcard", http(
    { ...post, url: "https://{team}.slack.com/api" },
    { ...only({ team: url }, ["team"]), egress: { hosts: ["a.slack.com"] } },
  ), ["http.url: the host *.slack.com:443 is outside egress.hosts"]],
  ["a body for GET", http({ method: "GET", url: post.url, body: { text: "a" } }, {
    ...only({}),
    effects: ["http_read"],
  }), ["http.body: a GET request has no body"]],
  ["a header value with a line break", http({ ...post, headers: { "x-a": "a\r\nhost: b" } }, only({})), [
    "http.headers.x-a: must be visible ascii without outer spaces",
  ]],
];

const parameters: [string, string, string[]][] = [
  ["an unused parameter", http(post, only({ spare: url })), ["params.properties.spare: is never used"]],
  ["an unknown parameter in the url", http({ ...post, url: `${post.url}{?qurey}` }, only({ query: url })), [
    "http.url: unknown parameter qurey; did you mean query?",
    "params.properties.query: is never used",
  ]],
  ["an unknown parameter in the body", http({ ...post, body: { json: { a: { $param: "b" } } } }, only({})), [
    "http.body.json.a: unknown parameter b",
  ]],
  ["an unknown parameter in an assertion", httpText({
    verify: { kind: "http", assert: [{ pointer: "/a", equals: { $param: "titel" } }] },
  }), ["verify.assert.0.equals: unknown parameter titel; did you mean title?"]],
  ["an unknown policy parameter", httpText({ policy_params: ["repository"] }), [
    "policy_params.0: unknown parameter repository",
  ]],
  ["an optional parameter in a path", http({ ...post, url: `${post.url}/{a}` }, only({ a: url })), [
    "http.url: a must be required or have a default to stand here",
  ]],
  ["an optional parameter as the whole body", http({ ...post, body: { json: { $param: "a" } } }, only({ a: {} })), [
    "http.body.json: a must be required or have a default to stand here",
  ]],
  ["a nullable parameter in a path", http(
    { ...post, url: `${post.url}/{a}` },
    only({ a: { type: ["string", "null"] } }, ["a"]),
  ), ["http.url: a must not be null to stand here"]],
  ["an object in a url", http({ ...post, url: `${post.url}{?a}` }, only({ a: { type: "object" } })), [
    "http.url: a must be declared as string, number, integer, boolean, array to stand here",
  ]],
  ["an untyped parameter in a header", http({ ...post, headers: { "x-a": { $param: "a" } } }, only({ a: {} })), [
    "http.headers.x-a: a must be declared as string, number, integer, boolean to stand here",
  ]],
  ["bytes without base64", http({ ...post, body: { bytes: { $param: "a" } } }, only({ a: url }, ["a"])), [
    "http.body.bytes: a must declare contentEncoding: base64",
  ]],
  ["a $ member that is no reference", http({ ...post, body: { json: { a: { $param: "b", c: 1 } } } }, only({})), [
    "http.body.json.a.$param: a member that starts with $ must be {$param: name} alone",
  ]],
  ["a name that objects inherit", http(post, only({ constructor: url })), [
    'params.properties.constructor: "constructor" cannot be the name of a parameter',
  ]],
  ["a required name that is not declared", http(post, { params: { type: "object", required: ["a"] } }), [
    "params.required: unknown parameter a",
  ]],
  ["parameters that are no object", http(post, { params: { type: "array" } }), ["params.type: must be object"]],
  ["a value longer than the request may be", httpText({
    params: { type: "object", required: ["repo", "title"], properties: {
      repo: url, title: { type: "string", maxLength: 65_536 }, text: url,
    } },
  }), ["params.properties.title.maxLength: 65536 characters cannot fit into limits.request_kb 64"]],
];

const schemas: [string, string, string[]][] = [
  ["an unknown schema keyword", http(post, only({ a: { type: "string", const: "x", maxLenght: 3 } })), [
    'params: unknown keyword: "maxLenght"',
  ]],
  ["a keyword of the wrong type", http(post, only({ a: { type: "string", const: "x", maxLength: "3" } })), [
    "params: schema/properties/a/maxLength must be integer",
  ]],
  ["a pattern with a look-ahead", http(post, only({ a: { const: "x", type: "string", pattern: "(?=a)" } })), [
    "params: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
  ]],
  ["an unknown format", http(post, only({ a: { const: "x", type: "string", format: "iban" } })), [
    'params: unknown format "iban" ignored in schema at path "#/properties/a"',
  ]],
  ["a reference to elsewhere", http(post, only({ a: { $ref: "https://example.com/s.json" } })), [
    "params.properties.a.$ref: only references to #/$defs/<name> are supported",
  ]],
  ["an id", http(post, { params: { $id: "x", type: "object" } }), ["params.$id: $id is not supported in a manifest"]],
  ["another dialect", http(post, { params: { $schema: "http://json-schema.org/draft-07/schema#", type: "object" } }), [
    "params.$schema: only json schema 2020-12 is supported",
  ]],
  ["unbounded unique items", http(post, only({ a: { type: "array", uniqueItems: true, items: url } })), [
    "params.properties.a.uniqueItems: uniqueItems needs maxItems of at most 1000",
  ]],
  ["a default that its schema refuses", http(post, only({ a: { enum: ["x"], default: "y" } })), [
    "params.properties.a.default: is refused by its own schema",
  ]],
  ["a broken response schema", httpText({ response: { schema: { type: "strnig" } } }), [
    "response.schema: schema/type must be equal to one of the allowed values, schema/type must be array, schema/type must match a schema in anyOf",
  ]],
];

const fsSection = (changes: Members) => ({
  fs: {
    operation: "write",
    path: { $param: "path" },
    content: { text: { $param: "content" } },
    allow: ["notes/**"],
    max_file_kb: 64,
    ...changes,
  },
});
const files: [string, string, string[]][] = [
  ["a write without content", fsText({ ...fsSection({}), fs: {
    operation: "write", path: { $param: "path" }, allow: ["a"], max_file_kb: 1,
  } }), ["fs.content: a write needs content", "params.properties.content: is never used"]],
  ["an allow list that allows nothing", fsText(fsSection({ allow: [] })), [
    "fs.allow: too small: expected array to have >=1 items",
  ]],
  ["a broken glob", fsText(fsSection({ deny: ["a", "[a"] })), ["fs.deny.1: pattern has a [ without a ]"]],
  ["content for a read", fsText({ ...fsSection({ operation: "read", mode: "create" }), effects: ["fs_read"] }), [
    "fs.content: is for write alone",
    "fs.mode: is for write alone",
  ]],
  ["a mode that is no enum", fsText({
    ...fsSection({ mode: { $param: "mode" } }),
    ...only({ path: url, content: url, mode: url }, ["path", "content", "mode"]),
  }), ["fs.mode: its parameter must be an enum of create and overwrite"]],
  ["a file larger than its request", fsText(fsSection({ max_file_kb: 65 })), [
    "fs.max_file_kb: 65 kb cannot fit into limits.request_kb 64",
  ]],
  ["a file larger than its response", fsText({
    fs: { operation: "read", path: { $param: "path" }, allow: ["a"], max_file_kb: 1025 },
    ...only({ path: url }, ["path"]),
    effects: ["fs_read"],
  }), ["fs.max_file_kb: 1025 kb cannot fit into limits.response_kb 1024"]],
];

test.each([...shape, ...sections, ...risks, ...targets, ...parameters, ...schemas, ...files])(
  "%s is refused",
  (_name, text, problems) => {
    expect(problemsOf(text)).toEqual(problems.map((problem) => `manifest_invalid ${problem}`));
  },
);

test.each(["database", "smtp", "queue", "storage"])("a %s section is refused, as the broker is missing", (section) => {
  expect(problemsOf(httpText({ [section]: {} }))).toEqual([
    `broker_unavailable ${section}: this build has no ${section} broker; remove the manifest or the section`,
  ]);
});

test("an envelope is refused", () => {
  expect(problemsOf(httpText({ envelope: { hosts: ["a"] } }))).toEqual([
    "broker_unavailable envelope: this build runs exact plans only; describe the call in an http or fs section",
  ]);
});

test("a secret is refused, and its name does not matter", () => {
  const auth = [{ secret: "TOKEN", in: "header", name: "authorization", hosts: ["api.example.com"] }];
  expect(problemsOf(httpText({ auth, tag: 1 }))).toEqual([
    "secrets_unavailable auth: this build cannot inject credentials; remove the manifest or its auth section",
    "manifest_invalid tag: unknown key tag; did you mean tags?",
  ]);
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

test("a risk one step lower is accepted with a reason where nothing is deleted", () => {
  const because = "a search that is sent as POST";
  expect(problemsOf(httpText({ risk: { level: "low", because }, effects: ["http_read"] }))).toEqual([]);
  expect(problemsOf(fsText({ risk: { level: "medium", because: "scratch notes only" } }))).toEqual([]);
});
