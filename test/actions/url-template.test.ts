import { expect, test } from "bun:test";
import fc from "fast-check";
import { expandUrl, parseUrlTemplate, type UrlTemplate } from "../../src/actions/url-template.ts";
import type { JsonObject } from "../../src/core/json.ts";

function template(text: string): UrlTemplate {
  const result = parseUrlTemplate(text);
  if (!result.ok) throw new Error(result.message);
  return result.template;
}

function expand(text: string, params: JsonObject): string {
  const result = expandUrl(template(text), params);
  return result.ok ? result.url.href : `refused: ${result.message}`;
}

const H = "https://api.example.com";

test.each([
  [`${H}/repos/{owner}/{repo}`, { owner: "a", repo: "b" }, `${H}/repos/a/b`],
  [`${H}/x/{v}`, { v: "a/b?c#d&e=f@g:h%2f" }, `${H}/x/a%2Fb%3Fc%23d%26e%3Df%40g%3Ah%252f`],
  [`${H}/x/{v}`, { v: "é 'x'!" }, `${H}/x/%C3%A9%20%27x%27%21`],
  [`${H}/x/{v}`, { v: 12.5 }, `${H}/x/12.5`],
  [`${H}/x/{v}`, { v: true }, `${H}/x/true`],
  [`${H}/x/{v}`, { v: "..." }, `${H}/x/...`],
  [`${H}/x/{v}`, { v: "a..b" }, `${H}/x/a..b`],
  [`${H}/x/{+v}`, { v: "a/b/c.txt" }, `${H}/x/a/b/c.txt`],
  [`${H}/x/{+v}`, { v: "a%20b" }, `${H}/x/a%20b`],
  [`${H}/x{/v*}`, { v: ["a", "b/c"] }, `${H}/x/a/b%2Fc`],
  [`${H}/x{/v}/y`, {}, `${H}/x/y`],
  [`${H}/x{?q,r}`, { q: "a&b=c", r: "" }, `${H}/x?q=a%26b%3Dc&r=`],
  [`${H}/x{?q,r}`, { r: 1 }, `${H}/x?r=1`],
  [`${H}/x{?q,r}`, {}, `${H}/x`],
  [`${H}/x{?tags*}`, { tags: ["a", "b"] }, `${H}/x?tags=a&tags=b`],
  [`${H}/x{?tags}`, { tags: [] }, `${H}/x`],
  [`${H}/x?fixed=1{&q}`, { q: "#" }, `${H}/x?fixed=1&q=%23`],
  [`${H}/x?fixed=1{&q}`, {}, `${H}/x?fixed=1`],
  [`${H}/x?q={q}`, { q: "a&b" }, `${H}/x?q=a%26b`],
  [`${H}{?q}`, { q: "1" }, `${H}/?q=1`],
  [`${H}{/v}`, { v: "1" }, `${H}/1`],
  ["https://{team}.slack.com/api", { team: "Acme-1" }, "https://acme-1.slack.com/api"],
  ["https://{team}.slack.com:8443/{v}", { team: "a", v: "b" }, "https://a.slack.com:8443/b"],
  [
    "{+url}",
    { url: "https://EXAMPLE.com/a b" },
    "refused: url contains white space, a control character or a backslash",
  ],
  ["{+url}", { url: "https://Example.com/a?b" }, "https://example.com/a?b"],
  ["{+url}", { url: "https://a@example.com/" }, "refused: url must not carry a user name or password"],
  ["{+url}", { url: 1 }, "refused: url must be a url"],
] as [string, JsonObject, string][])("%s with %j is %s", (text, params, url) => {
  expect(expand(text, params)).toBe(url);
});

test.each([
  [`${H}/x/{v}`, ".", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}`, "..", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}`, "%2e%2e", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}`, "../../admin", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}`, "..\\admin", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}`, "a/%252e%252e/b", "a parameter makes a . or .. path segment"],
  [`${H}/x/{v}{w}`, ".", "a parameter makes a . or .. path segment"],
  [`${H}/x/.{v}`, ".", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a/../b", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a/./b", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a/%2E%2e/b", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a/.%2e", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a%2f..%2fb", "a parameter makes a . or .. path segment"],
  [`${H}/x/{+v}`, "a//b", "a parameter makes an empty path segment"],
  [`${H}/x/{+v}`, "/a", "a parameter makes an empty path segment"],
  [`${H}/x/{+v}`, "a?b=c", "v must not hold ? or #"],
  [`${H}/x/{+v}`, "a#b", "v must not hold ? or #"],
  [`${H}/x/{v}`, "", "v must not be empty in a path"],
  [`${H}/x/{v}/y`, "", "v must not be empty in a path"],
  [`${H}/x/{v}`, null, "v is needed for the url"],
  [`${H}/x/{v}`, {}, "v is needed for the url"],
  [`${H}/x/{v}`, "\ud800", "v has a lone surrogate"],
  ["https://{v}.slack.com/", "a.b", "v must be one label of a host name"],
  ["https://{v}.slack.com/", "evil.com/", "v must be one label of a host name"],
  ["https://{v}.slack.com/", "evil.com#", "v must be one label of a host name"],
  ["https://{v}.slack.com/", "user@evil", "v must be one label of a host name"],
  ["https://{v}.slack.com/", "xn--\u00e9", "v must be one label of a host name"],
  ["https://{v}.slack.com/", "", "v must be one label of a host name"],
])("%s with v = %j is refused", (text, value, message) => {
  const v = value as string; // whatever an unchecked caller might pass
  expect(expand(text, { v, w: "." })).toBe(`refused: ${message}`);
  if (typeof v === "string" && v.length > 3) expect(expand(text, { v, w: "." })).not.toContain(v);
});

test.each([
  ["", "must be printable ascii without white space, quotes, backslash or fragment"],
  ["/a", "must start with https:// or http://, or be {+url} alone"],
  ["ftp://a.example/", "must start with https:// or http://, or be {+url} alone"],
  ["{url}", "must start with https:// or http://, or be {+url} alone"],
  ["{+url}/x", "must start with https:// or http://, or be {+url} alone"],
  ["{+a,b}", "{a,b} is not the name of a parameter"],
  [
    "https://{host}/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://{host}.com/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://{+h}.a.example/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://{a,b}.a.example/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://a{h}.b.example/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://{a}.b{c}.example/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://a.example{+path}",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://a.example:{port}/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  [
    "https://user:{p}@a.example/",
    "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com",
  ],
  ["https://u@a.example/{p}", "url must not carry a user name or password"],
  [`${H}/a#{f}`, "must be printable ascii without white space, quotes, backslash or fragment"],
  [`${H}/{#f}`, "must be printable ascii without white space, quotes, backslash or fragment"],
  [`${H}/{a`, "has a brace without its partner"],
  [`${H}/{a}}`, "has a brace without its partner"],
  [`${H}/{}`, "{} is not the name of a parameter"],
  [`${H}/{a b}`, "must be printable ascii without white space, quotes, backslash or fragment"],
  [`${H}/{a.b}`, "{a.b} is not the name of a parameter"],
  [`${H}/{a:3}`, "a :length modifier is not supported"],
  [`${H}/{=a}`, "the operator = is not supported"],
  [`${H}/{&a}`, "{&…} cannot stand in a path"],
  [`${H}/a?b{+c}`, "{+…} cannot stand in a query; use {&name} or name={name}"],
  [`${H}/a?b{?c}`, "{?…} cannot stand in a query; use {&name} or name={name}"],
  [`${H}/a{?b}{&c}`, "nothing may follow {?…}; put all names into it, as in {?a,b}"],
  [`${H}/a{?b}&c=d`, "nothing may follow {?…}; put all names into it, as in {?a,b}"],
  [`${H}/a//b/{c}`, "has an empty path segment"],
  [`${H}/a/../{c}`, "has a . or .. path segment"],
])("the template %s is refused", (text, message) => {
  expect(parseUrlTemplate(text)).toEqual({ ok: false, message });
});

const nasty = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(..."./\\%2eEfF@:?#&=;,+ {}[]a\u00e9\u202e\t\n"), maxLength: 12 }),
  fc.webUrl(),
);

test("property: a simple value changes neither scheme, host, port, the number of segments nor the query", () => {
  fc.assert(
    fc.property(nasty, nasty, (a, b) => {
      const result = expandUrl(template(`${H}/r/{a}/s/{b}/t?fixed=1{&q}`), { a, b, q: b });
      if (!result.ok) return;
      const url = new URL(result.url.href);
      expect([url.origin, url.username, url.hash]).toEqual([H, "", ""]);
      const segments = url.pathname.split("/");
      expect([segments.length, segments[1], segments[3], segments[5]]).toEqual([6, "r", "s", "t"]);
      expect([segments[2], segments[4]].map((one) => decodeURIComponent(one ?? ""))).toEqual([a, b]);
      expect([...url.searchParams]).toEqual([
        ["fixed", "1"],
        ["q", b],
      ]);
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("property: a reserved value stays below its folder and never reaches the query", () => {
  fc.assert(
    fc.property(nasty, (v) => {
      const result = expandUrl(template(`${H}/root/{+v}`), { v });
      if (!result.ok) return;
      const url = new URL(result.url.href);
      expect([url.origin, url.search, url.hash]).toEqual([H, "", ""]);
      expect(url.pathname.startsWith("/root/")).toBe(true);
      expect(url.pathname).not.toContain("//");
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("property: a host parameter never leaves its label", () => {
  fc.assert(
    fc.property(fc.oneof(nasty, fc.domain(), fc.ipV4()), (v) => {
      const result = expandUrl(template("https://{v}.slack.com/x"), { v });
      if (result.ok) expect(result.url.href).toBe(`https://${v.toLowerCase()}.slack.com/x`);
    }),
    { seed: 1, numRuns: 1000 },
  );
});
