import { describe, expect, test } from "bun:test";
import { weakenings } from "../../src/actions/override.ts";
import type { HttpPlan } from "../../src/core/plan.ts";
import { planFromJson, planToJson } from "../../src/core/plan.ts";
import { actionOf, fsText, httpText, type Members, parse, problemsOf } from "./manifests.ts";

const entry = (changes: Members = {}) => ({
  secret: "TOKEN",
  in: "bearer",
  hosts: ["api.example.com"],
  ...changes,
});
const findings = (auth: readonly Members[], changes: Members = {}) =>
  problemsOf(httpText({ auth, ...changes }));

const whole: Members = {
  params: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
  http: { method: "POST", url: "{+url}" },
  egress: { hosts: ["api.example.com", "*.other.example"], learn: true },
};

function planOf(text: string, params: { readonly [name: string]: string }) {
  return actionOf(text).plan(params, { fsRoot: null });
}

function secretsOf(text: string, params: { readonly [name: string]: string }) {
  const made = planOf(text, params);
  if (!made.ok) throw new Error(`${made.code}: ${made.message}`);
  return (made.plan as HttpPlan).secrets;
}

describe("an entry of auth that cannot be right is refused when it is loaded", () => {
  test.each<[string, Members, string]>([
    [
      "a name in lower case",
      entry({ secret: "token" }),
      "auth.0.secret: must be the name of a secret: A-Z, 0-9 and _, such as API_TOKEN",
    ],
    [
      "an unknown place",
      entry({ in: "cookie" }),
      "auth.0.in: must be one of header, bearer, basic, query, path, body",
    ],
    ["no host", entry({ hosts: [] }), "auth.0.hosts: too small: expected array to have >=1 items"],
    [
      "a wildcard host",
      entry({ hosts: ["*.example.com"] }),
      "auth.0.hosts.0: must be an exact host name, not a wildcard",
    ],
    [
      "a host in upper case",
      entry({ hosts: ["API.example.com"] }),
      "auth.0.hosts.0: must be written as api.example.com",
    ],
    [
      "a host outside egress",
      entry({ hosts: ["api.example.com", "evil.example"] }),
      "auth.0.hosts: evil.example is outside egress.hosts",
    ],
    [
      "a bearer with a name",
      entry({ name: "authorization" }),
      "auth.0.name: bearer is always the authorization header",
    ],
    [
      "a bearer with a format",
      entry({ format: "token {secret}" }),
      "auth.0.format: bearer has its own; use in: header for another",
    ],
    [
      "a format without the mark",
      entry({ in: "header", name: "x-key", format: "Bearer" }),
      "auth.0.format: must hold {secret} once",
    ],
    [
      "a format with two marks",
      entry({ in: "header", name: "x-key", format: "{secret}{secret}" }),
      "auth.0.format: must hold {secret} once",
    ],
    [
      "a format with a line break",
      entry({ in: "header", name: "x-key", format: "a\n{secret}" }),
      "auth.0.name: its format must be visible ascii",
    ],
    ["a header without a name", entry({ in: "header" }), "auth.0.name: is required"],
    [
      "a header in upper case",
      entry({ in: "header", name: "X-Key" }),
      "auth.0.name: header names are lower-case tokens",
    ],
    [
      "the host header",
      entry({ in: "header", name: "host" }),
      "auth.0.name: the header host cannot carry a credential",
    ],
    [
      "a proxy's header",
      entry({ in: "header", name: "proxy-authorization" }),
      "auth.0.name: the header proxy-authorization cannot carry a credential",
    ],
    [
      "a rewriting header",
      entry({ in: "header", name: "x-original-url" }),
      "auth.0.name: the header x-original-url cannot carry a credential",
    ],
    [
      "the header of the body's kind",
      entry({ in: "header", name: "content-type" }),
      "auth.0.name: the header content-type cannot carry a credential",
    ],
    [
      "a query name with a mark of its own",
      entry({ in: "query", name: "a&b" }),
      "auth.0.name: must be letters, digits and -._~",
    ],
    [
      "a path without its place",
      entry({ in: "path", name: "token" }),
      "auth.0.name: must stand in the path of the url as {token}, once",
    ],
    [
      "a path that is a parameter",
      entry({ in: "path", name: "repo" }),
      "auth.0.name: is a parameter: an agent would fill the place of the credential",
    ],
    [
      "a member that the body has",
      entry({ in: "body", name: "/title" }),
      "auth.0.name: http.body.json sets this member already",
    ],
    [
      "a member of what an agent sends",
      entry({ in: "body", name: "/body/key" }),
      "auth.0.name: what it stands in must be an object that http.body.json writes out",
    ],
    [
      "a member that is no pointer",
      entry({ in: "body", name: "key" }),
      "auth.0.name: must be a json pointer such as /api_key (RFC 6901)",
    ],
    ["an unknown key", entry({ host: "a" }), "auth.0.host: unknown key host; did you mean hosts?"],
  ])("%s", (_name, one, problem) => {
    expect(findings([one])).toEqual([`manifest_invalid ${problem}`]);
  });

  test("a secret that no rule puts anywhere", () => {
    // Named beside the request, it would be required and never sent.
    for (const member of ["secrets", "credentials", "inject"])
      expect(problemsOf(httpText({ [member]: [{ name: "TOKEN", required: true }] }))).toEqual([
        expect.stringContaining(`unknown key ${member}`),
      ]);
    expect(findings([{ secret: "TOKEN", hosts: ["api.example.com"] }])).toEqual([
      expect.stringContaining("auth.0.in"),
    ]);
    expect(findings([{ secret: "TOKEN", in: "bearer" }])).toEqual([expect.stringContaining("auth.0.hosts")]);
  });

  test("two for one place", () => {
    expect(findings([entry(), entry({ secret: "OTHER", in: "basic" })])).toEqual([
      "manifest_invalid auth.1.name: is the place of auth.0 already",
    ]);
  });

  test("a place that http fills as well", () => {
    const url = "https://api.example.com/{repo}?key=1{&title,text}";
    const http = { method: "GET", url, headers: { "x-a": "1" } };
    const given = (auth: Members) => findings([entry(auth)], { http, effects: ["http_read"] });
    expect(given({ in: "header", name: "x-a" })).toEqual([
      "manifest_invalid auth.0.name: http.headers sets x-a already",
    ]);
    for (const name of ["key", "title"])
      expect(given({ in: "query", name })).toEqual([
        "manifest_invalid auth.0.name: the url has this query parameter already",
      ]);
    expect(given({ in: "body", name: "/a" })).toEqual([
      "manifest_invalid auth.0.name: needs a body of kind json or form",
    ]);
  });

  test("a form field that is set", () => {
    const http = {
      method: "POST",
      url: "https://api.example.com/{repo}",
      body: { form: { key: { $param: "title" }, t: { $param: "text" } } },
    };
    expect(findings([entry({ in: "body", name: "key" })], { http })).toEqual([
      "manifest_invalid auth.0.name: http.body.form sets this field already",
    ]);
    expect(findings([entry({ in: "body", name: "/key" })], { http })).toEqual([
      "manifest_invalid auth.0.name: must be a form field, which does not begin with /",
    ]);
  });

  test("plain http, and a url that never goes to its hosts", () => {
    const body = { json: { title: { $param: "title" }, body: { $param: "text" } } };
    const plain = { method: "POST", url: "http://api.example.com/{repo}", body };
    const egress = { hosts: [{ host: "api.example.com", ports: [80] }, "b.example.com"] };
    expect(findings([entry()], { http: plain, egress })).toEqual([
      "manifest_invalid auth.0.hosts: a credential goes over https alone",
    ]);
    expect(
      findings([entry({ hosts: ["b.example.com"] })], {
        egress: { hosts: ["api.example.com", "b.example.com"] },
      }),
    ).toEqual(["manifest_invalid auth.0.hosts: none of them is a host of the url"]);
  });

  test("an fs action has none", () => {
    expect(problemsOf(fsText({ auth: [entry()] }))).toEqual([
      "manifest_invalid auth: an fs action has no credentials",
    ]);
  });
});

describe("a plan names its credentials", () => {
  test("with their places, and says so in what is hashed and stored", () => {
    const action = actionOf(
      httpText({ auth: [entry(), entry({ secret: "KEY", in: "query", name: "key", required: false })] }),
    );
    const made = action.plan({ repo: "r", title: "t" }, { fsRoot: null });
    if (!made.ok) throw new Error(made.message);
    const secrets = [
      {
        secret: "TOKEN",
        in: "header",
        name: "authorization",
        format: "Bearer {secret}",
        origin: "https://api.example.com",
        required: true,
      },
      {
        secret: "KEY",
        in: "query",
        name: "key",
        format: "{secret}",
        origin: "https://api.example.com",
        required: false,
      },
    ] as const;
    expect(planToJson(made.plan).secrets).toEqual(secrets as never);
    expect(planFromJson(planToJson(made.plan))).toEqual(made.plan);
    // The component gets the request without them.
    expect(action.task(made.plan)).not.toMatch(/TOKEN|KEY|secret|authorization/);
    expect(action.detail().secrets).toEqual([
      { name: "TOKEN", required: true, hosts: ["api.example.com"] },
      { name: "KEY", required: false, hosts: ["api.example.com"] },
    ]);
  });

  test("a call that was stored before plans had credentials has none", () => {
    const { secrets: _, ...old } = planToJson(
      (planOf(httpText(), { repo: "r", title: "t" }) as { plan: HttpPlan }).plan,
    );
    expect((planFromJson(old) as HttpPlan).secrets).toEqual([]);
  });

  test("a path keeps its place open, wherever an agent writes the same", () => {
    const text = httpText({
      http: {
        method: "POST",
        url: "https://api.example.com/bot{token}/{repo}",
        body: { json: { title: { $param: "title" }, body: { $param: "text" } } },
      },
      auth: [entry({ in: "path", name: "token" })],
    });
    const made = planOf(text, { repo: "r", title: "{token}" });
    expect(made).toMatchObject({ ok: true, plan: { url: "https://api.example.com/bot%7Btoken%7D/r" } });
    expect(planOf(text, { repo: "{token}", title: "t" })).toMatchObject({ ok: false, code: "url_invalid" });
    expect(planOf(text, { repo: "%7Btoken%7D", title: "t" })).toMatchObject({ ok: true });
  });

  test("a whole url gets them for the listed host alone", () => {
    const auth = [entry({ in: "query", name: "key" })];
    const text = httpText({ ...whole, auth });
    expect(secretsOf(text, { url: "https://api.example.com/a?b=1" })).toMatchObject([
      { origin: "https://api.example.com" },
    ]);
    for (const url of [
      "https://evil.example/",
      "https://x.other.example/",
      "https://x.api.example.com/",
      "https://api.example.com.evil.example/",
      "https://api.example.com:8443/",
    ])
      expect(planOf(text, { url })).toMatchObject({ ok: false, code: "secret_not_bound" });
    for (const url of ["https://api.example.com/?key=mine", "https://api.example.com/?a=1;k%65y=mine"])
      expect(planOf(text, { url })).toMatchObject({ ok: false, code: "url_invalid" });
    expect(planOf(text, { url: "http://api.example.com/" })).toMatchObject({
      ok: false,
      code: "scheme_not_allowed",
    });
  });

  test("an optional one is left out for a host that a human is yet to approve", () => {
    const text = httpText({ ...whole, auth: [entry({ required: false })] });
    expect(secretsOf(text, { url: "https://api.example.com/" })).toHaveLength(1);
    for (const url of ["https://learned.example/", "https://api.example.com:8443/"]) {
      expect(secretsOf(text, { url })).toEqual([]);
      expect(planOf(text, { url })).toMatchObject({ unresolved: { hosts: [new URL(url).hostname] } });
    }
  });
});

test("more credentials, or another place or host for one, are a weaker manifest", () => {
  const manifest = (auth: readonly Members[]) => {
    const result = parse(httpText({ auth, egress: { hosts: ["api.example.com", "b.example.com"] } }));
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.manifest;
  };
  const before = manifest([entry()]);
  const more = (auth: readonly Members[]) => weakenings(before, manifest(auth));
  expect(more([entry()])).toEqual([]);
  expect(more([])).toEqual([]);
  expect(more([entry({ required: false })])).toEqual([]);
  expect(more([entry({ secret: "OTHER" })])).toEqual(["widens credentials: OTHER for api.example.com"]);
  expect(more([entry({ hosts: ["api.example.com", "b.example.com"] })])).toEqual([
    "widens credentials: TOKEN for b.example.com",
  ]);
  expect(more([entry({ in: "query", name: "key" })])).toEqual([
    "widens credentials: TOKEN for api.example.com",
  ]);
});
