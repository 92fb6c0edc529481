import { describe, expect, test } from "bun:test";
import type { Manifest } from "../../src/actions/manifest-schema.ts";
import { weakenings } from "../../src/actions/override.ts";
import type { HttpPlan } from "../../src/core/plan.ts";
import { actionOf, httpText, type Members, parse, problemsOf } from "./manifests.ts";

const URL = "https://api.example.com/repos/{repo}/issues/{issue}";
const BACK: Members = {
  url: URL,
  values: { issue: "/id" },
  assert: [{ pointer: "/title", equals: { $param: "title" } }],
};

const withBack = (changes: Members = {}, rest: Members = {}) => {
  const section = Object.entries({ ...BACK, ...changes }).filter(([, value]) => value !== undefined);
  return httpText({ verify: { kind: "http", read_back: Object.fromEntries(section) }, ...rest });
};

function planOf(text: string, params: Members): HttpPlan {
  const made = actionOf(text).plan(params as never, { fsRoot: null }); // members are JSON values
  if (!made.ok || made.plan.kind !== "http") throw new Error(JSON.stringify(made));
  return made.plan;
}

const SECRETS = [
  { secret: "TOKEN", in: "bearer", hosts: ["api.example.com"] },
  { secret: "QUERY_KEY", in: "query", name: "key", hosts: ["api.example.com"] },
  { secret: "BODY_KEY", in: "body", name: "/key", hosts: ["api.example.com"] },
];

test("the plan has the requests that will be made, but for the values of the answer", () => {
  const text = withBack({ status: [200], attempts: 1, interval_ms: 5 }, { auth: SECRETS });
  const { readBack } = planOf(text, { repo: "a/b", title: "t" });
  expect(readBack).toMatchObject({
    url: "https://api.example.com/repos/a%2Fb/issues/%7Bissue%7D",
    values: [{ name: "issue", pointer: "/id" }],
    headers: [["user-agent", "LatchGate"]],
    status: [200],
    assert: [{ pointer: "/title", equals: "t" }],
    attempts: 1,
    intervalMs: 5,
  });
  expect(readBack?.secrets.map(({ secret }) => secret)).toEqual(["TOKEN", "QUERY_KEY"]);
});

test("an assertion on a parameter that was not given expects nothing", () => {
  const text = withBack({ assert: [{ pointer: "/body", equals: { $param: "text" } }] });
  expect(planOf(text, { repo: "r", title: "t" }).readBack?.assert).toEqual([]);
});

test.each(["{issue}", "x{issue}"])("a parameter that spells a value's place (%s) is refused", (repo) => {
  const action = actionOf(withBack());
  expect(action.plan({ repo, title: "t" }, { fsRoot: null })).toMatchObject({
    ok: false,
    code: "url_invalid",
  });
});

test.each<[string, Members, Members, string]>([
  ["another host", { url: "https://evil.example/{issue}" }, {}, "must have the origin of http.url"],
  ["another scheme", { url: "http://api.example.com/{issue}" }, {}, "must have the origin of http.url"],
  ["another port", { url: "https://api.example.com:8443/{issue}" }, {}, "must have the origin of http.url"],
  ["a whole url", { url: "{+issue}" }, {}, "a read-back needs templates with a fixed origin"],
  ["a value as a host", { url: "https://{issue}.example.com/" }, {}, "must have the origin of http.url"],
  [
    "a value of several segments",
    { url: "https://api.example.com/{+issue}" },
    {},
    "may stand in a path segment or a query value alone",
  ],
  ["a value that stands nowhere", { url: "https://api.example.com/" }, {}, "must stand in the url once"],
  ["a value twice", { url: "https://api.example.com/{issue}/{issue}" }, {}, "must stand in the url once"],
  ["a value of a parameter's name", { values: { issue: "/id", title: "/t" } }, {}, "is a parameter"],
  ["an unknown name", { url: "https://api.example.com/{isue}/{issue}" }, {}, "unknown parameter isue"],
  ["no pointer", { values: { issue: "id" } }, {}, "must be a json pointer"],
  ["more attempts than host calls", { attempts: 2 }, {}, "limits.io_calls of at least 3"],
  [
    "attempts beyond the time",
    { attempts: 5, interval_ms: 10_000 },
    { limits: { io_calls: 6 } },
    "do not fit into limits.timeout_s",
  ],
  [
    "egress without GET",
    {},
    { egress: { hosts: [{ host: "api.example.com", methods: ["POST"] }] } },
    "does not let GET go to api.example.com:443",
  ],
  ["a credential in a header", { headers: { authorization: "x" } }, {}, "authorization"],
])("a manifest with %s is refused", (_, changes, rest, message) => {
  expect(problemsOf(withBack(changes, rest)).join("\n")).toContain(message);
});

describe("a manifest that replaces another", () => {
  const manifestOf = (text: string): Manifest => {
    const result = parse(text);
    if (!result.ok) throw new Error("the manifest is not sound");
    return result.manifest;
  };
  const before = manifestOf(withBack());

  test.each([
    ["drops the read-back", httpText({ verify: { kind: "http" } })],
    ["looks elsewhere", withBack({ url: "https://api.example.com/other/{issue}" })],
    ["asserts nothing", withBack({ assert: [] })],
  ])("and %s weakens it", (_, text) => {
    expect(weakenings(before, manifestOf(text))).toContain(
      "weakens verification: drops or changes the read-back",
    );
  });

  test("may look at other times", () => {
    expect(weakenings(before, manifestOf(withBack({ interval_ms: 1 })))).toEqual([]);
  });
});
