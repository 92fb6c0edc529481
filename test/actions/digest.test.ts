import { expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { readYaml } from "../../src/actions/yaml-document.ts";
import type { Json } from "../../src/core/json.ts";
import { actionOf, fsText, httpText, parse } from "./manifests.ts";

function digestOf(text: string): string {
  const result = parse(text);
  if (!result.ok) throw new Error(result.problems.map((one) => one.message).join("\n"));
  return result.digest;
}

const text = httpText({
  http: {
    method: "POST",
    url: "https://api.example.com/repos/{repo}/issues",
    headers: { "x-b": "2", "x-a": "1" },
    body: { json: { title: { $param: "title" }, body: { $param: "text" }, fixed: [1, { b: 1, a: 2 }] } },
  },
  response: { schema: { type: "object", properties: { a: { type: "string" } } } },
});

test("the digest is a constant of the text", () => {
  expect(digestOf(text)).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(digestOf(text)).toBe(digestOf(text));
});

test("property: member order and yaml formatting do not matter", () => {
  const document = readYaml(text);
  if (!document.ok) throw new Error("refused");
  const styles = fc.record({
    order: fc.infiniteStream(fc.nat(1000)),
    indent: fc.integer({ min: 1, max: 6 }),
    defaultStringType: fc.constantFrom("PLAIN", "QUOTE_DOUBLE", "QUOTE_SINGLE"),
    collectionStyle: fc.constantFrom("block", "flow"),
    comment: fc.boolean(),
  });
  const wanted = digestOf(text);
  fc.assert(
    fc.property(styles, ({ order, comment, ...options }) => {
      const shuffled = shuffle(document.value, () => Number(order.next().value));
      const other = stringify(shuffled, {
        indent: options.indent,
        defaultStringType: options.defaultStringType === "PLAIN" ? "PLAIN" : "QUOTE_DOUBLE",
        singleQuote: options.defaultStringType === "QUOTE_SINGLE",
        collectionStyle: options.collectionStyle === "flow" ? "flow" : "block",
        aliasDuplicateObjects: false,
      });
      expect(digestOf(comment ? `# a comment\n${other}# another\n` : other)).toBe(wanted);
    }),
    { seed: 1, numRuns: 60 },
  );
});

function shuffle(value: Json, next: () => number): Json {
  if (Array.isArray(value)) return value.map((item) => shuffle(item, next));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, inner]) => [next(), name, shuffle(inner, next)] as const);
  return Object.fromEntries(members.sort((a, b) => a[0] - b[0]).map(([, name, inner]) => [name, inner]));
}

test("a default that is written out changes nothing", () => {
  expect(digestOf(httpText({ limits: { timeout_s: 30 }, tags: [], verify: { kind: "none" } }))).toBe(
    digestOf(httpText()),
  );
});

test.each([
  ["the summary", { summary: "Another." }],
  [
    "a parameter's schema",
    {
      params: {
        type: "object",
        required: ["repo", "title"],
        properties: { repo: { type: "string" }, title: { type: "string" }, text: { type: "string" } },
      },
    },
  ],
  ["a limit", { limits: { request_kb: 65 } }],
  ["the verification", { verify: { kind: "http" } }],
  ["the response schema", { response: { schema: { type: "object" } } }],
  ["the provider", { provider: `sha256:${"00".repeat(32)}` }],
  ["a tag", { tags: ["team"] }],
  ["the risk's reason", { risk: { level: "medium", because: "it writes" } }],
])("%s is part of the digest", (_name, change) => {
  expect(digestOf(httpText(change))).not.toBe(digestOf(httpText()));
});

test("equal manifests make equal plans: member order never reaches the wire", () => {
  const body = (json: object) =>
    httpText({
      http: { method: "POST", url: "https://api.example.com/{repo}", headers: {}, body: { json } },
    });
  const one = actionOf(body({ a: { $param: "title" }, b: { $param: "text" } }));
  const other = actionOf(body({ b: { $param: "text" }, a: { $param: "title" } }));
  expect(other.digest).toBe(one.digest);
  const params = { repo: "r", title: "t", text: "x" };
  const task = (action: typeof one) => {
    const result = action.plan(params, { fsRoot: null });
    return result.ok ? action.task(result.plan) : "refused";
  };
  expect(task(one)).toBe(task(other));
  expect(task(one)).not.toBe("refused");
});

test("closed objects are part of the digest: saying so explicitly changes nothing, opening does", () => {
  const params = (extra: object) => ({
    params: {
      type: "object",
      required: ["path", "content"],
      properties: { path: { type: "string" }, content: { type: "string" } },
      ...extra,
    },
  });
  const base = digestOf(fsText());
  expect(digestOf(fsText(params({ additionalProperties: false })))).toBe(base);
  expect(digestOf(fsText(params({ additionalProperties: true })))).not.toBe(base);
});
