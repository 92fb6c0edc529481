import { expect, test } from "bun:test";
import { planFacts, readBackFacts } from "../../src/gate/plan-facts.ts";
import { encodeInput } from "../../src/policy/input.ts";
import { actionOf, httpText } from "../actions/manifests.ts";
import { baseInput } from "../policy/case-files.ts";

const BACK = {
  url: "https://api.example.com/repos/{repo}/issues/{issue}",
  values: { issue: "/id" },
  headers: { accept: "application/json" },
  assert: [{ pointer: "/title", equals: { $param: "title" } }],
  attempts: 4,
};

function factsOf(text: string) {
  const made = actionOf(text).plan({ repo: "a/b", title: "t" }, { fsRoot: null });
  if (!made.ok) throw new Error(JSON.stringify(made));
  return { plan: planFacts(made.plan), read_back: readBackFacts(made.plan) };
}

test("policy hears where the gate will look for the effect, and what of it the server chooses", () => {
  const facts = factsOf(httpText({ limits: { io_calls: 5 }, verify: { kind: "http", read_back: BACK } }));
  expect(facts.read_back).toEqual({
    kind: "http",
    scheme: "https",
    host: "api.example.com",
    port: 443,
    path: "/repos/a%2Fb/issues/%7Bissue%7D",
    values: ["issue"],
    attempts: 4,
  });
  expect(encodeInput({ ...baseInput(), ...facts })).toHaveProperty("json");
});

test("and that it will not", () => {
  const facts = factsOf(httpText());
  expect(facts.read_back).toBeNull();
  expect(encodeInput({ ...baseInput(), ...facts })).toHaveProperty("json");
});
