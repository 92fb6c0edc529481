/** A manifest in a project's folder narrows the egress of a shipped one by what patterns cover, not by how they are written. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadActions } from "../../src/actions/index.ts";
import { httpText } from "./manifests.ts";

const home = mkdtempSync(join(tmpdir(), "latchgate-narrowing-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const fetcher = (hosts: readonly unknown[]) =>
  httpText({
    params: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
    http: { method: "GET", url: "{+url}" },
    effects: ["http_read"],
    egress: { hosts },
  });

let count = 0;
async function overridden(before: readonly unknown[], after: readonly unknown[]) {
  const path = join(home, `d${++count}`);
  mkdirSync(path);
  writeFileSync(join(path, "a.yaml"), fetcher(after));
  const { registry, problems } = await loadActions({
    builtins: [{ file: "builtin/a.yaml", origin: "builtin", text: fetcher(before) }],
    directories: [{ path, origin: "project" }],
  });
  const action = registry.get("issue_create");
  if (action === undefined) throw new Error("no action");
  return {
    action,
    widened: problems.flatMap(({ message }) => /widens egress: ([^;]*)/.exec(message)?.[1] ?? []),
  };
}

test.each([
  ["a wildcard to one name below it", ["*.example.com"], ["api.example.com"], "https://api.example.com/"],
  ["a wildcard to a wildcard below it", ["*.example.com"], ["*.eu.example.com"], "https://a.eu.example.com/"],
  [
    "a wildcard to names of several labels",
    ["*.example.com"],
    ["a.b.example.com"],
    "https://a.b.example.com/",
  ],
  ["two entries to one", ["a.example.com", "b.example.com"], ["b.example.com"], "https://b.example.com/"],
  [
    "an entry in another form",
    ["a.example.com"],
    [{ host: "a.example.com", ports: [443] }],
    "https://a.example.com/",
  ],
  [
    "ports to one of them",
    [{ host: "a.example.com", ports: [443, 8443] }],
    [{ host: "a.example.com", ports: [8443] }],
    "https://a.example.com:8443/",
  ],
] as const)("%s needs no reason, and what is left is open", async (_what, before, after, url) => {
  const { action, widened } = await overridden(before, after);
  expect([widened, action.source.origin]).toEqual([[], "project"]);
  expect(action.plan({ url }, { fsRoot: null })).toMatchObject({ ok: true, unresolved: { hosts: [] } });
  for (const outside of ["https://other.example.org/", "https://example.com/", "https://x.a.example.com/"])
    expect(action.plan({ url: outside }, { fsRoot: null })).toMatchObject({
      ok: false,
      code: "host_not_allowed",
    });
});

test.each([
  ["a name to one below it", ["github.com"], ["api.github.com"], "api.github.com"],
  ["a name to the one above it", ["api.github.com"], ["github.com"], "github.com"],
  ["a name to all below it", ["github.com"], ["*.github.com"], "*.github.com"],
  ["a wildcard to the name that it stands below", ["*.example.com"], ["example.com"], "example.com"],
  ["a wildcard to a name that ends alike", ["*.example.com"], ["evilexample.com"], "evilexample.com"],
  ["a wildcard to the one above it", ["*.eu.example.com"], ["*.example.com"], "*.example.com"],
  ["a wildcard to one that ends alike", ["*.example.com"], ["*.evilexample.com"], "*.evilexample.com"],
  [
    "a name to another port of it",
    ["a.example.com"],
    [{ host: "a.example.com", ports: [8443] }],
    "a.example.com",
  ],
] as const)("%s is wider, and is refused without a reason", async (_what, before, after, what) => {
  const { action, widened } = await overridden(before, after);
  expect([widened, action.source.origin]).toEqual([[what], "builtin"]);
});
