import { expect, test } from "bun:test";
import { fsText, httpText, type Members, problemsOf } from "./manifests.ts";

const url = { type: "string" };
const whole = { http: { method: "GET", url: "{+url}" }, effects: ["http_read"] };
const only = (properties: Members, required: string[] = []) => ({
  params: { type: "object", required, properties },
});
const http = (http: Members, rest: Members = {}) => httpText({ http, ...rest });
const post = { method: "POST", url: "https://api.example.com/x" };

const risks: [string, string, string[]][] = [
  [
    "POST without a write effect",
    httpText({ effects: ["fs_read"] }),
    ["effects: method POST needs the effect http_write or http_delete"],
  ],
  [
    "PUT as a read",
    http({ ...post, method: "PUT" }, { ...only({}), effects: ["http_read"] }),
    ["effects: method PUT needs the effect http_write or http_delete"],
  ],
  [
    "GET without http_read",
    http({ ...post, method: "GET" }, { ...only({}), effects: ["other"] }),
    ["effects: method GET needs the effect http_read or http_write"],
  ],
  [
    "DELETE without http_delete",
    http({ ...post, method: "DELETE" }, { ...only({}), risk: { level: "high" } }),
    [
      "effects: method DELETE needs the effect http_delete",
      "verify: a high risk needs a verification: any kind but none",
    ],
  ],
  [
    "fs delete without fs_delete",
    fsText({
      fs: { operation: "delete", path: { $param: "path" }, allow: ["a"] },
      ...only({ path: url }, ["path"]),
      effects: ["fs_write"],
      risk: { level: "critical" },
    }),
    ["effects: operation delete needs the effect fs_delete"],
  ],
  [
    "a write at low",
    httpText({ risk: { level: "low", because: "it is fine" } }),
    ["risk.level: low is below medium, which a writing action needs"],
  ],
  [
    "a read by POST at low, unexplained",
    httpText({ risk: { level: "low" }, effects: ["http_read"] }),
    ["risk.level: low is below medium, which method and effects imply; say why in risk.because"],
  ],
  [
    "a DELETE at medium",
    http(
      { ...post, method: "DELETE" },
      {
        ...only({}),
        effects: ["http_delete"],
        risk: { level: "medium", because: "small" },
      },
    ),
    ["risk.level: medium is below high, which a deleting action needs"],
  ],
  [
    "an fs write two steps lower",
    fsText({ risk: { level: "low", because: "small" } }),
    ["risk.level: low is more than one step below high, which method and effects imply"],
  ],
  [
    "high without verification",
    httpText({ risk: { level: "high" } }),
    ["verify: a high risk needs a verification: any kind but none"],
  ],
];

const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`x-h${i}`, "a"]));

const targets: [string, string, string[]][] = [
  [
    "a host outside egress",
    httpText({ egress: { hosts: ["example.com"] } }),
    ["http.url: the host api.example.com:443 is outside egress.hosts"],
  ],
  [
    "a port outside egress",
    httpText({ egress: { hosts: [{ host: "api.example.com", ports: [8443] }] } }),
    ["http.url: the host api.example.com:443 is outside egress.hosts"],
  ],
  [
    "plain http that is not listed",
    http({ ...post, url: "http://api.example.com/" }, only({})),
    ["http.url: the host api.example.com:80 is outside egress.hosts"],
  ],
  [
    "an entry whose methods never apply",
    httpText({
      egress: { hosts: ["api.example.com", { host: "b.example.com", methods: ["GET"] }] },
    }),
    ["egress.hosts.1: never applies: its methods lack POST"],
  ],
  [
    "learning for a fixed host",
    httpText({ egress: { hosts: ["api.example.com"], learn: true } }),
    ["egress.learn: has no use: the url fixes its host"],
  ],
  [
    "a whole url without hosts",
    httpText({ ...whole, ...only({ url }, ["url"]), egress: undefined }),
    ["egress: names no host; list hosts or set learn: true"],
  ],
  [
    "a host parameter beyond its wildcard",
    http(
      { ...post, url: "https://{team}.slack.com/api" },
      { ...only({ team: url }, ["team"]), egress: { hosts: ["a.slack.com"] } },
    ),
    ["http.url: the host *.slack.com:443 is outside egress.hosts"],
  ],
  [
    "a body for GET",
    http(
      { method: "GET", url: post.url, body: { text: "a" } },
      {
        ...only({}),
        effects: ["http_read"],
      },
    ),
    ["http.body: a GET request has no body"],
  ],
  [
    "too many headers",
    http({ ...post, headers: many }, only({})),
    ["http.headers: has more than 32 headers"],
  ],
  [
    "a header value with a line break",
    http({ ...post, headers: { "x-a": "a\r\nhost: b" } }, only({})),
    ["http.headers.x-a: must be visible ascii without outer spaces"],
  ],
];

const parameters: [string, string, string[]][] = [
  ["an unused parameter", http(post, only({ spare: url })), ["params.properties.spare: is never used"]],
  [
    "an unknown parameter in the url",
    http({ ...post, url: `${post.url}{?qurey}` }, only({ query: url })),
    ["http.url: unknown parameter qurey; did you mean query?", "params.properties.query: is never used"],
  ],
  [
    "an unknown parameter in the body",
    http({ ...post, body: { json: { a: { $param: "b" } } } }, only({})),
    ["http.body.json.a: unknown parameter b"],
  ],
  [
    "an unknown parameter in an assertion",
    httpText({
      verify: { kind: "http", assert: [{ pointer: "/a", equals: { $param: "titel" } }] },
    }),
    ["verify.assert.0.equals: unknown parameter titel; did you mean title?"],
  ],
  [
    "an unknown policy parameter",
    httpText({ policy_params: ["repository"] }),
    ["policy_params.0: unknown parameter repository"],
  ],
  [
    "an optional parameter in a path",
    http({ ...post, url: `${post.url}/{a}` }, only({ a: url })),
    ["http.url: a must be required or have a default to stand here"],
  ],
  [
    "an optional parameter as the whole body",
    http({ ...post, body: { json: { $param: "a" } } }, only({ a: {} })),
    ["http.body.json: a must be required or have a default to stand here"],
  ],
  [
    "a nullable parameter in a path",
    http({ ...post, url: `${post.url}/{a}` }, only({ a: { type: ["string", "null"] } }, ["a"])),
    ["http.url: a must not be null to stand here"],
  ],
  [
    "an object in a url",
    http({ ...post, url: `${post.url}{?a}` }, only({ a: { type: "object" } })),
    ["http.url: a must be declared as string, number, integer, boolean, array to stand here"],
  ],
  [
    "an untyped parameter in a header",
    http({ ...post, headers: { "x-a": { $param: "a" } } }, only({ a: {} })),
    ["http.headers.x-a: a must be declared as string, number, integer, boolean to stand here"],
  ],
  [
    "bytes without base64",
    http({ ...post, body: { bytes: { $param: "a" } } }, only({ a: url }, ["a"])),
    ["http.body.bytes: a must declare contentEncoding: base64"],
  ],
  [
    "a $ member that is no reference",
    http({ ...post, body: { json: { a: { $param: "b", c: 1 } } } }, only({})),
    ["http.body.json.a.$param: a member that starts with $ must be {$param: name} alone"],
  ],
  [
    "a name that objects inherit",
    http(post, only({ constructor: url })),
    ['params.properties.constructor: "constructor" cannot be the name of a parameter'],
  ],
  [
    "a required name that is not declared",
    http(post, { params: { type: "object", required: ["a"] } }),
    ["params.required: unknown parameter a"],
  ],
  [
    "parameters that are no object",
    http(post, { params: { type: "array" } }),
    ["params.type: must be object"],
  ],
  [
    "a value longer than the request may be",
    httpText({
      params: {
        type: "object",
        required: ["repo", "title"],
        properties: {
          repo: url,
          title: { type: "string", maxLength: 65_536 },
          text: url,
        },
      },
    }),
    ["params.properties.title.maxLength: 65536 characters cannot fit into limits.request_kb 64"],
  ],
];

const schemas: [string, string, string[]][] = [
  [
    "an unknown schema keyword",
    http(post, only({ a: { type: "string", const: "x", maxLenght: 3 } })),
    ['params: unknown keyword: "maxLenght"'],
  ],
  [
    "a keyword of the wrong type",
    http(post, only({ a: { type: "string", const: "x", maxLength: "3" } })),
    ["params: schema/properties/a/maxLength must be integer"],
  ],
  [
    "a pattern with a look-ahead",
    http(post, only({ a: { const: "x", type: "string", pattern: "(?=a)" } })),
    ["params: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"],
  ],
  [
    "an unknown format",
    http(post, only({ a: { const: "x", type: "string", format: "iban" } })),
    ['params: unknown format "iban" ignored in schema at path "#/properties/a"'],
  ],
  [
    "a reference to elsewhere",
    http(post, only({ a: { $ref: "https://example.com/s.json" } })),
    ["params.properties.a.$ref: only references to #/$defs/<name> are supported"],
  ],
  [
    "an id",
    http(post, { params: { $id: "x", type: "object" } }),
    ["params.$id: $id is not supported in a manifest"],
  ],
  [
    "another dialect",
    http(post, { params: { $schema: "http://json-schema.org/draft-07/schema#", type: "object" } }),
    ["params.$schema: only json schema 2020-12 is supported"],
  ],
  [
    "unbounded unique items",
    http(post, only({ a: { type: "array", uniqueItems: true, items: url } })),
    ["params.properties.a.uniqueItems: uniqueItems needs maxItems of at most 1000"],
  ],
  [
    "a default that its schema refuses",
    http(post, only({ a: { enum: ["x"], default: "y" } })),
    ["params.properties.a.default: is refused by its own schema"],
  ],
  [
    "a broken response schema",
    httpText({ response: { schema: { type: "strnig" } } }),
    [
      "response.schema: schema/type must be equal to one of the allowed values, schema/type must be array, schema/type must match a schema in anyOf",
    ],
  ],
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
  [
    "a write without content",
    fsText({
      ...fsSection({}),
      fs: {
        operation: "write",
        path: { $param: "path" },
        allow: ["a"],
        max_file_kb: 1,
      },
    }),
    ["fs.content: a write needs content", "params.properties.content: is never used"],
  ],
  [
    "an allow list that allows nothing",
    fsText(fsSection({ allow: [] })),
    ["fs.allow: too small: expected array to have >=1 items"],
  ],
  ["a broken glob", fsText(fsSection({ deny: ["a", "[a"] })), ["fs.deny.1: pattern has a [ without a ]"]],
  [
    "content for a read",
    fsText({ ...fsSection({ operation: "read", mode: "create" }), effects: ["fs_read"] }),
    ["fs.content: is for write alone", "fs.mode: is for write alone"],
  ],
  [
    "a mode that is no enum",
    fsText({
      ...fsSection({ mode: { $param: "mode" } }),
      ...only({ path: url, content: url, mode: url }, ["path", "content", "mode"]),
    }),
    ["fs.mode: its parameter must be an enum of create and overwrite"],
  ],
  [
    "a file larger than its request",
    fsText(fsSection({ max_file_kb: 65 })),
    ["fs.max_file_kb: 65 kb cannot fit into limits.request_kb 64"],
  ],
  [
    "less fuel than its largest call takes",
    fsText({
      fs: { operation: "read", path: { $param: "path" }, allow: ["a"], max_file_kb: 10_240 },
      ...only({ path: url }, ["path"]),
      effects: ["fs_read"],
      limits: { response_kb: 10_240 },
    }),
    ["limits.fuel: a call of this request_kb and response_kb may take 5623952"],
  ],
  [
    "a file larger than its response",
    fsText({
      fs: { operation: "read", path: { $param: "path" }, allow: ["a"], max_file_kb: 1025 },
      ...only({ path: url }, ["path"]),
      effects: ["fs_read"],
    }),
    ["fs.max_file_kb: 1025 kb cannot fit into limits.response_kb 1024"],
  ],
];

test.each([...risks, ...targets, ...parameters, ...schemas, ...files])(
  "%s is refused",
  (_name, text, problems) => {
    expect(problemsOf(text)).toEqual(problems.map((problem) => `manifest_invalid ${problem}`));
  },
);

test("a risk one step lower is accepted with a reason where nothing is deleted", () => {
  const because = "a search that is sent as POST";
  expect(problemsOf(httpText({ risk: { level: "low", because }, effects: ["http_read"] }))).toEqual([]);
  expect(problemsOf(fsText({ risk: { level: "medium", because: "scratch notes only" } }))).toEqual([]);
});
