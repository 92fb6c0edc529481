import { expect, test } from "bun:test";
import { builtinManifests, loadActions } from "../../src/actions/index.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Authorized } from "../../src/gate/call.ts";
import { grantsWholePlan } from "../../src/gate/grant.ts";
import { envelopePlan } from "../host/plans.ts";

const { registry } = await loadActions({ builtins: builtinManifests(), directories: [] });

function planOf(action: string, params: JsonObject): Plan {
  const made = registry.get(action)?.plan(params, { fsRoot: "/srv", local: [] });
  if (made?.ok !== true) throw new Error("no plan");
  return made.plan;
}

/** Whether a decision that grants these hosts and paths covers the plan. */
function covers(
  plan: Plan,
  granted: { readonly hosts?: string[]; readonly paths?: string[]; readonly secrets?: string[] },
): boolean {
  const decision = { granted: { hosts: [], paths: [], connections: [], secrets: [], ...granted } };
  const authorized = { call: { plan }, decision } as unknown as Authorized; // no more of it is looked at
  return grantsWholePlan(authorized) === null;
}

test("an allow that does not grant the plan's own host is none", () => {
  const plan = planOf("http_fetch", { url: "https://API.example.com/x" });
  expect(covers(plan, { hosts: ["api.example.com"] })).toBe(true);
  expect(covers(plan, {})).toBe(false);
  expect(covers(plan, { hosts: ["example.com", "other.example"] })).toBe(false);
  expect(covers(plan, { hosts: ["*.example.com"] })).toBe(false);
  expect(covers(plan, { paths: ["api.example.com"] })).toBe(false);
});

test("a host that is an address is granted as policy knows it, without brackets", () => {
  const plan = planOf("http_fetch", { url: "https://[2606:4700::1111]/" });
  expect(covers(plan, { hosts: ["2606:4700::1111"] })).toBe(true);
  expect(covers(plan, { hosts: ["[2606:4700::1111]"] })).toBe(false);
});

test("an allow that does not grant every host of an envelope is none", () => {
  const [target] = envelopePlan().targets;
  if (target === undefined) throw new Error("no target");
  const targets = [target, { ...target, hosts: ["*.example.org", "files.example.com"] }];
  const plan = envelopePlan({ targets });
  expect(covers(plan, { hosts: ["*.example.org", "api.example.com", "files.example.com"] })).toBe(true);
  expect(covers(plan, { hosts: ["api.example.com", "files.example.com", "a.example.org"] })).toBe(false);
  expect(covers(plan, { hosts: ["api.example.com"] })).toBe(false);
  expect(covers(plan, { paths: ["*.example.org", "api.example.com", "files.example.com"] })).toBe(false);
});

test("an allow that does not grant the plan's own path is none", () => {
  const plan = planOf("fs_read", { path: "src/a.txt" });
  expect(covers(plan, { paths: ["src/a.txt"] })).toBe(true);
  expect(covers(plan, { paths: ["src", "src/b.txt"] })).toBe(false);
  expect(covers(plan, { hosts: ["src/a.txt"] })).toBe(false);
});

test("an allow without a required credential is none; an optional one may be withheld", () => {
  const required = planOf("github_create_issue", { owner: "o", repo: "r", title: "t" });
  const optional = planOf("github_read", { path: "user" });
  const hosts = ["api.github.com"];
  expect(covers(required, { hosts })).toBe(false);
  expect(covers(required, { hosts, secrets: ["OTHER_TOKEN"] })).toBe(false);
  expect(covers(required, { hosts, secrets: ["GITHUB_TOKEN"] })).toBe(true);
  expect(covers(optional, { hosts })).toBe(true);
});
