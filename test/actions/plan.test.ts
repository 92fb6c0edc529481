import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Action } from "../../src/actions/action.ts";
import { escapeGlob } from "../../src/actions/plan-fs.ts";
import type { PlanContext } from "../../src/actions/plan-result.ts";
import { compileGlob, GlobError } from "../../src/core/glob.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { planFromJson, planToJson } from "../../src/core/plan.ts";
import { actionOf, fsText, httpText, type Members } from "./manifests.ts";

const nowhere: PlanContext = { fsRoot: null };

function planned(action: Action, params: JsonObject, context = nowhere) {
  const result = action.plan(params, context);
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result;
}

function refusal(action: Action, params: JsonObject, context = nowhere): string {
  const result = action.plan(params, context);
  return result.ok ? "planned" : `${result.code}: ${result.message}`;
}

test("an http plan is exact: method, url, headers in order, body bytes, hosts, response headers", () => {
  const action = actionOf(
    httpText({
      http: {
        method: "POST",
        url: "https://api.example.com/repos/{repo}/issues",
        headers: { "x-text": { $param: "text" }, accept: "application/json" },
        body: { json: { title: { $param: "title" } } },
      },
      response: { headers: ["location"] },
      policy_params: ["repo", "text"],
    }),
  );
  const result = planned(action, { repo: "a/b", title: "t" });
  expect(planToJson(result.plan)).toEqual({
    kind: "http",
    method: "POST",
    url: "https://api.example.com/repos/a%2Fb/issues",
    headers: [
      ["accept", "application/json"],
      ["content-type", "application/json"],
      ["user-agent", "LatchGate"],
    ],
    body: Buffer.from('{"title":"t"}').toString("base64"),
    hosts: ["api.example.com"],
    response_headers: ["content-type", "location"],
    secrets: [],
    read_back: null,
  });
  expect(result.unresolved).toEqual({ hosts: [], paths: [] });
  expect(result.policyParams).toEqual({ repo: "a/b", text: null });
  expect(action.task(result.plan)).toBe(
    '{"method":"POST","url":"https://api.example.com/repos/a%2Fb/issues","headers":[["accept","application/json"],' +
      '["content-type","application/json"],["user-agent","LatchGate"]],"body_base64":"eyJ0aXRsZSI6InQifQ==","timeout_ms":30000}',
  );
});

test("the task of a stored plan is the task of the plan, byte for byte", () => {
  const http = actionOf(httpText());
  const fs = actionOf(fsText());
  const texts = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      for (const [action, params] of [
        [http, { repo: a, title: b }],
        [fs, { path: `notes/${a}`, content: b }],
      ] as const) {
        const result = action.plan(params, { fsRoot: "/srv/root" });
        if (!result.ok) continue;
        const stored = planFromJson(planToJson(result.plan));
        expect(action.task(stored)).toBe(action.task(result.plan));
        const again = action.plan(params, { fsRoot: "/srv/root" });
        expect(again).toEqual(result);
      }
    }),
    { seed: 1 },
  );
});

const fetcher = (egress: Members) =>
  actionOf(
    httpText({
      params: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
      http: { method: "GET", url: "{+url}" },
      effects: ["http_read"],
      egress,
    }),
  );

const listed = {
  hosts: [
    "api.example.com",
    "*.wiki.example",
    { host: "alt.example.com", ports: [8443, 80] },
    {
      host: "post.example.com",
      methods: ["GET", "POST"],
    },
  ],
};
const closed = fetcher(listed);
const open = fetcher({ ...listed, learn: true });

test.each([
  ["https://api.example.com/a", [], "planned"],
  ["https://API.example.com./a", [], "planned"],
  ["https://en.wiki.example/a", [], "planned"],
  ["https://alt.example.com:8443/a", [], "planned"],
  ["http://alt.example.com/a", [], "planned"],
  [
    "https://wiki.example/a",
    ["wiki.example"],
    "host_not_allowed: the host of the url is not among those of the action",
  ],
  [
    "https://evil.example/@api.example.com",
    ["evil.example"],
    "host_not_allowed: the host of the url is not among those of the action",
  ],
  [
    "https://api.example.com.evil.example/",
    ["api.example.com.evil.example"],
    "host_not_allowed: the host of the url is not among those of the action",
  ],
  [
    "https://api.example.com:8443/",
    ["api.example.com"],
    "port_not_allowed: the port of the url is not among those of its host",
  ],
  [
    "https://127.0.0.1/",
    ["127.0.0.1"],
    "host_not_allowed: the host of the url is not among those of the action",
  ],
] as [string, string[], string][])(
  "%s: open egress leaves %j to a human, closed egress says %s",
  (url, hosts, verdict) => {
    const result = planned(open, { url });
    expect(result.unresolved.hosts).toEqual(hosts);
    expect(refusal(closed, { url })).toBe(verdict);
    if (result.plan.kind !== "http") throw new Error("not http");
    const patterns = ["api.example.com", "*.wiki.example", "alt.example.com", "post.example.com"];
    expect(result.plan.hosts).toEqual([...new Set([...patterns, ...hosts])]);
  },
);

test.each([
  ["http://api.example.com/", "scheme_not_allowed: only https urls are allowed here"],
  ["http://other.example/", "scheme_not_allowed: only https urls are allowed here"],
  ["http://alt.example.com:8443/", "scheme_not_allowed: only https urls are allowed here"],
  ["https://a@api.example.com/", "url_invalid: url must not carry a user name or password"],
  ["file:///etc/passwd", "url_invalid: only http and https urls"],
  [
    "https://api.example.com\\@evil.example/",
    "url_invalid: url contains white space, a control character or a backslash",
  ],
])("%s is refused even with open egress", (url, verdict) => {
  expect(refusal(open, { url })).toBe(verdict);
});

test("a local target that the configuration names counts as listed, for its port alone", () => {
  const context = { fsRoot: null, local: [{ host: "svc.test", port: 8443 }] };
  const result = planned(closed, { url: "https://svc.test:8443/a" }, context);
  expect(result.unresolved.hosts).toEqual([]);
  expect(result.plan.kind === "http" && result.plan.hosts).toContain("svc.test");
  expect(refusal(closed, { url: "https://svc.test/a" }, context)).toStartWith("host_not_allowed");
  expect(refusal(closed, { url: "https://svc.test:8443/a" })).toStartWith("host_not_allowed");
});

test("a literal http url goes where its port is listed", () => {
  const action = actionOf(
    httpText({
      params: undefined,
      http: { method: "GET", url: "http://plain.example.com/status" },
      effects: ["http_read"],
      egress: { hosts: [{ host: "plain.example.com", ports: [80] }] },
    }),
  );
  expect(planned(action, {}).plan.kind === "http" && planned(action, {}).plan).toMatchObject({
    url: "http://plain.example.com/status",
  });
});

test("header values of an agent cannot start a header of their own", () => {
  const action = actionOf(
    httpText({
      http: {
        method: "POST",
        url: "https://api.example.com/{repo}",
        headers: { "x-title": { $param: "title" } },
        body: { text: { $param: "title" } },
      },
      params: {
        type: "object",
        required: ["repo", "title"],
        properties: { repo: { type: "string" }, title: { type: "string" } },
      },
    }),
  );
  const bad = "header_invalid: a header value must be visible ascii without outer spaces";
  for (const title of ["a\r\nhost: evil", "a\nb", "é", " a", "a ", "a\0", "x".repeat(5000)])
    expect(refusal(action, { repo: "r", title })).toBe(bad);
  expect(refusal(action, { repo: "r", title: "a: b" })).toBe("planned");
});

test("a body larger than request_kb is refused", () => {
  const action = actionOf(
    httpText({
      limits: { request_kb: 1 },
      http: {
        method: "POST",
        url: "https://api.example.com/{repo}/{title}",
        body: { json: { pad: "x".repeat(1000), text: { $param: "text" } } },
      },
    }),
  );
  expect(refusal(action, { repo: "r", title: "t", text: "yyyy" })).toBe("planned");
  expect(refusal(action, { repo: "r", title: "t", text: "yyyyy" })).toBe(
    "request_too_large: the body is larger than 1 kb",
  );
});

const root = { fsRoot: "/srv/root" };
const writer = actionOf(
  fsText({
    params: {
      type: "object",
      required: ["path"],
      properties: {
        path: { type: "string" },
        content: { type: "string" },
        content_base64: { type: "string", contentEncoding: "base64" },
        mode: { type: "string", enum: ["create", "overwrite"], default: "overwrite" },
        hash: { type: "string" },
      },
    },
    fs: {
      operation: "write",
      path: { $param: "path" },
      content: { text: { $param: "content" }, base64: { $param: "content_base64" } },
      mode: { $param: "mode" },
      expected_before_hash: { $param: "hash" },
      allow: ["notes/**", "*.md"],
      deny: ["**/.env", "**/.ssh/**", "secret/**"],
      max_file_kb: 1,
    },
  }),
);
const hash = "ab".repeat(32);

test("an fs plan is exact", () => {
  const result = planned(
    writer,
    { path: "notes/a.txt", content: "hi", mode: "overwrite", hash: `sha256:${hash}` },
    root,
  );
  expect(planToJson(result.plan)).toEqual({
    kind: "fs",
    operation: "overwrite",
    root: "/srv/root",
    path: "notes/a.txt",
    content: "aGk=",
    expected_before_hash: hash,
    allow: ["notes/**", "*.md"],
    deny: ["**/.env", "**/.ssh/**", "secret/**"],
    max_file_bytes: 1024,
  });
  expect(writer.task(result.plan)).toBe(
    `{"operation":"overwrite","path":"notes/a.txt","content_base64":"aGk=","expected_before_hash":"${hash}"}`,
  );
  const bytes = planned(writer, { path: "a.md", content_base64: "/w==", mode: "create" }, root).plan;
  expect(bytes).toMatchObject({
    operation: "create",
    content: Buffer.from([0xff]),
    expectedBeforeHash: null,
  });
});

test.each([
  [{ path: "notes/.env" }, "path_denied: the path is denied by the action's manifest"],
  [{ path: ".ENV" }, "path_denied: the path is denied by the action's manifest"],
  [{ path: "notes/.SSH/id" }, "path_denied: the path is denied by the action's manifest"],
  [{ path: "" }, "path_invalid: the path is empty"],
  [{ path: "/etc/passwd" }, "path_invalid: the path must be relative to the root folder"],
  [{ path: "C:/x" }, "path_invalid: the path must be relative to the root folder"],
  [{ path: "../x" }, "path_invalid: the path has an empty, . or .. segment"],
  [{ path: "notes/../.env" }, "path_invalid: the path has an empty, . or .. segment"],
  [{ path: "./a.md" }, "path_invalid: the path has an empty, . or .. segment"],
  [{ path: "notes//a" }, "path_invalid: the path has an empty, . or .. segment"],
  [{ path: "notes/" }, "path_invalid: the path has an empty, . or .. segment"],
  [{ path: "notes\\a" }, "path_invalid: the path has a backslash; separate folders by /"],
  [{ path: "a\0.md" }, "path_invalid: the path has a control or invisible character"],
  [{ path: "a\u202egpj.md" }, "path_invalid: the path has a control or invisible character"],
  [{ path: "\ud800.md" }, "path_invalid: the path has a lone surrogate"],
  [{ path: "a".repeat(256) }, "path_invalid: a segment is longer than 255 bytes"],
  [{ path: `${"a/".repeat(600)}a` }, "path_invalid: the path is longer than 1024 characters"],
  [
    { path: `x/${"[".repeat(200)}/${"[".repeat(200)}/${"[".repeat(200)}` },
    "path_invalid: the path is too long to be allowed by itself",
  ],
  [{ path: "a.md", content: "x".repeat(1025) }, "too_large: the content is larger than 1 kb"],
  [
    { path: "a.md", content_base64: "aGk=" },
    "invalid_content: give content as text, or as padded base64, but not both",
  ],
  [
    { path: "a.md", mode: "append" },
    "invalid_content: give content as text, or as padded base64, but not both",
  ],
  [
    { path: "a.md", hash: "ab" },
    "invalid_content: the expected hash is sha256: and 64 hex digits, for a file that exists",
  ],
  [
    { path: "a.md", mode: "create", hash: `sha256:${hash}` },
    "invalid_content: the expected hash is sha256: and 64 hex digits, for a file that exists",
  ],
])("%j is refused", (params, verdict) => {
  expect(refusal(writer, { content: "x", mode: "overwrite", ...params }, root)).toBe(verdict);
});

test("without a root folder nothing is planned", () => {
  expect(refusal(writer, { path: "a.md", content: "x", mode: "create" })).toBe(
    "fs_root_missing: the session has no root folder; open it with fs_root",
  );
});

test("check asks for exactly one of text and base64", () => {
  expect(writer.check({ path: "a.md" })).toEqual({
    ok: false,
    problems: ["give exactly one of content, content_base64"],
  });
  expect(writer.check({ path: "a.md", content: "a", content_base64: "aGk=" })).toEqual({
    ok: false,
    problems: ["give exactly one of content, content_base64"],
  });
  expect(writer.check({ path: "a.md", content: "a", content_base64: null }).ok).toBe(true);
});

test("a path outside the list is unresolved, and allowed by its own name alone", () => {
  const result = planned(writer, { path: "config/{a,b}/*.[!x]?", content: "x", mode: "create" }, root);
  expect(result.unresolved.paths).toEqual(["config/{a,b}/*.[!x]?"]);
  if (result.plan.kind !== "fs") throw new Error("not fs");
  const globs = result.plan.allow.map((pattern) => compileGlob(pattern));
  const allowed = (path: string) => globs.some((glob) => !(glob instanceof GlobError) && glob.matches(path));
  expect(allowed("config/{a,b}/*.[!x]?")).toBe(true);
  expect(["config/a/b.yy", "config/b/z.[!x]?", "config/a/*.[!x]?"].some(allowed)).toBe(false);
});

test("property: an escaped path matches itself and nothing else", () => {
  const paths = fc.string({ unit: fc.constantFrom(..."ab*?[]{}!,-^/."), minLength: 1, maxLength: 8 });
  const clean = paths.filter((path) => path.split("/").every((one) => !["", ".", ".."].includes(one)));
  fc.assert(
    fc.property(clean, clean, (path, other) => {
      const glob = compileGlob(escapeGlob(path));
      if (glob instanceof GlobError) throw glob;
      expect(glob.matches(path)).toBe(true);
      expect(glob.matches(other)).toBe(other === path);
    }),
    { seed: 1, numRuns: 1000 },
  );
});
