import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtinManifests, formatProblem, loadActions } from "../../src/actions/index.ts";
import type { ManifestSource } from "../../src/actions/manifest.ts";
import { fsText, httpText, type Members } from "./manifests.ts";

const home = mkdtempSync(join(tmpdir(), "latchgate-actions-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

let count = 0;
/** A new folder with these files. */
function folder(files: Record<string, string>): { path: string; origin: string } {
  const path = join(home, `d${++count}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return { path, origin: "project" };
}

const builtin = (text: string, file = "builtin/a.yaml"): ManifestSource => ({
  file,
  origin: "builtin",
  text,
});

async function load(builtins: readonly ManifestSource[], ...directories: { path: string; origin: string }[]) {
  const { registry, problems } = await loadActions({ builtins, directories });
  return { registry, problems: problems.map((one) => formatProblem(one).replaceAll(home, "")) };
}

test("a registry is sorted, found by id and has a digest of all digests", async () => {
  const one = await load([builtin(fsText(), "builtin/n.yaml"), builtin(httpText())]);
  expect(one.problems).toEqual([]);
  expect(one.registry.list().map((action) => action.id)).toEqual(["issue_create", "note_write"]);
  expect(one.registry.get("note_write")?.source).toEqual({ file: "builtin/n.yaml", origin: "builtin" });
  expect(one.registry.get("constructor")).toBeUndefined();
  expect(one.registry.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(one.registry.generation).toBe(1);
  const same = await load([builtin(httpText()), builtin(fsText(), "builtin/n.yaml")]);
  expect(same.registry.digest).toBe(one.registry.digest);
  const other = await load([builtin(httpText({ summary: "Other." })), builtin(fsText(), "builtin/n.yaml")]);
  expect(other.registry.digest).not.toBe(one.registry.digest);
});

test("a snapshot cannot be changed", async () => {
  const { registry } = await load([builtin(httpText())]);
  expect(Object.isFrozen(registry)).toBe(true);
  expect(Object.isFrozen(registry.list())).toBe(true);
  expect(registry.list().every((action) => Object.isFrozen(action))).toBe(true);
});

test("folders add actions; other files and a missing folder are no matter", async () => {
  const files = folder({ "n.yaml": fsText(), "README.md": "not a manifest", "old.yaml.bak": "{" });
  mkdirSync(join(files.path, "deeper"));
  writeFileSync(join(files.path, "deeper", "x.yaml"), "not: read");
  const result = await load([builtin(httpText())], files, { path: join(home, "missing"), origin: "user" });
  expect(result.problems).toEqual([]);
  expect(result.registry.list().map((action) => [action.id, action.source.origin])).toEqual([
    ["issue_create", "builtin"],
    ["note_write", "project"],
  ]);
});

test("every bad file is reported, in order, and the good ones are there", async () => {
  const files = folder({ "b.yaml": "a: [", "a.yml": "a: 1\na: 2\n", "c.yaml": fsText() });
  const result = await load([], files);
  expect(result.problems.map((line) => line.replace(/:\d+: .*(?= \[)/, ""))).toEqual([
    `${files.path.replace(home, "")}/a.yml [manifest_invalid]`,
    `${files.path.replace(home, "")}/b.yaml [manifest_invalid]`,
  ]);
  expect(result.registry.get("note_write")).toBeDefined();
});

test("one id in two files of a folder is a problem that names both", async () => {
  const files = folder({ "a.yaml": httpText(), "b.yaml": httpText({ summary: "Again." }) });
  const at = files.path.replace(home, "");
  expect((await load([], files)).problems).toEqual([
    `${at}/b.yaml:2: id: the id issue_create is already taken by ${at}/a.yaml [duplicate_action]`,
  ]);
});

test("bytes that are no utf-8, a folder called like a file, and a file too large are problems", async () => {
  const files = folder({ "big.yaml": `#${"x".repeat(262_144)}` });
  writeFileSync(join(files.path, "latin.yaml"), Uint8Array.from([0x61, 0x3a, 0xe9]));
  mkdirSync(join(files.path, "folder.yaml"));
  const { problems } = await load([], files, { path: join(files.path, "big.yaml"), origin: "user" });
  expect(
    problems.map((line) => line.replace(/^.*\//, "").replace(/(cannot be read): .*(?= \[)/, "$1")),
  ).toEqual([
    "big.yaml: longer than 262144 bytes [manifest_invalid]",
    "folder.yaml: is not a regular file [unreadable]",
    "latin.yaml: cannot be read [unreadable]",
    "big.yaml: is not a folder [unreadable]",
  ]);
});

test("a link inside the folder is followed, one that leads out is refused, with whatever it leads to", async () => {
  const outside = folder({ "x.yaml": fsText() });
  const sibling = folder({});
  const files = folder({ "real.yaml": fsText() });
  symlinkSync("real.yaml", join(files.path, "z_inside.yaml"));
  symlinkSync(join(outside.path, "x.yaml"), join(files.path, "outside.yaml"));
  symlinkSync("/dev/zero", join(files.path, "zero.yaml"));
  symlinkSync("gone", join(files.path, "dangling.yaml"));
  const { problems } = await load([], files);
  expect(
    problems.map((line) =>
      line.replace(/^.*?\/(\w+\.yaml)/, "$1").replace(/(cannot be read): .*(?= \[)/, "$1"),
    ),
  ).toEqual([
    "dangling.yaml: cannot be read [unreadable]",
    "outside.yaml: leads out of its folder; copy the file into it [path_escape]",
    "zero.yaml: leads out of its folder; copy the file into it [path_escape]",
    expect.stringContaining("already taken by"),
  ]);
  symlinkSync(outside.path, join(sibling.path, "actions"));
  expect((await load([], { path: join(sibling.path, "actions"), origin: "user" })).problems).toEqual([
    `${sibling.path.replace(home, "")}/actions: is a symbolic link; name the folder that it leads to [path_escape]`,
  ]);
});

test("a manifest that cannot be read is a problem", async () => {
  const files = folder({ "a.yaml": httpText() });
  // A folder of that name: nobody can read it as a file, whatever the account of the test.
  mkdirSync(join(files.path, "b.yaml"));
  expect((await load([], files)).problems[0]).toContain("[unreadable]");
});

const strict = {
  risk: { level: "high" },
  verify: { kind: "http", status: [201], assert: [{ pointer: "/a", type: "string" }] },
  response: { schema: { type: "object" } },
  required_scopes: ["tools:call", "tools:write"],
};

const weaker: [string, Members, string][] = [
  ["a lower risk", { risk: { level: "medium" } }, "lowers the risk from high to medium"],
  ["another effect", { effects: ["http_write", "http_read"] }, "adds the effect http_read"],
  ["a scope less", { required_scopes: ["tools:call"] }, "drops the required scope tools:write"],
  ["a component", { provider: `sha256:${"00".repeat(32)}` }, "replaces the provider builtin:http_api"],
  [
    "another host",
    { egress: { hosts: ["api.example.com", "b.example.com"] } },
    "widens egress: b.example.com",
  ],
  ["a wildcard", { egress: { hosts: ["*.example.com"] } }, "widens egress: *.example.com"],
  [
    "another port",
    { egress: { hosts: [{ host: "api.example.com", ports: [443, 8443] }] } },
    "widens egress: api.example.com",
  ],
  ["no schema", { response: undefined }, "weakens verification: drops the response schema"],
  [
    "more statuses",
    { verify: { ...strict.verify, status: [201, 404] } },
    "weakens verification: accepts more statuses",
  ],
  [
    "any status",
    { verify: { kind: "http", assert: strict.verify.assert } },
    "weakens verification: accepts more statuses",
  ],
  ["no assertion", { verify: { kind: "http", status: [201] } }, "weakens verification: drops an assertion"],
  [
    "another assertion",
    { verify: { ...strict.verify, assert: [{ pointer: "/b", type: "string" }] } },
    "weakens verification: drops an assertion",
  ],
];

test.each(weaker)("an override with %s needs a reason", async (_name, change, what) => {
  const before = builtin(httpText(strict));
  const refused = folder({ "a.yaml": httpText({ ...strict, ...change }) });
  const result = await load([before], refused);
  const at = refused.path.replace(home, "");
  expect(result.problems).toEqual([
    `${at}/a.yaml:2: id: overrides issue_create of builtin/a.yaml and ${what}; say why in override.reason [override_refused]`,
  ]);
  expect(result.registry.get("issue_create")?.source.origin).toBe("builtin");
  const reason = "agreed with the platform team";
  const explained = folder({ "a.yaml": httpText({ ...strict, ...change, override: { reason } }) });
  const taken = await load([before], explained);
  expect(taken.problems).toEqual([]);
  expect(taken.registry.get("issue_create")?.source.origin).toBe("project");
  expect(taken.registry.get("issue_create")?.overrideReason).toBe(reason);
});

const fsChanges: [string, Members, string][] = [
  ["another allowed path", { allow: ["notes/**", "src/**"] }, "widens paths: allows src/**"],
  ["a deny less", { deny: [] }, "widens paths: no longer denies **/.env"],
];

test.each(fsChanges)("an fs override with %s needs a reason", async (_name, change, what) => {
  const fs = {
    operation: "write",
    path: { $param: "path" },
    content: { text: { $param: "content" } },
    allow: ["notes/**"],
    deny: ["**/.env"],
    max_file_kb: 64,
  };
  const refused = folder({ "a.yaml": fsText({ fs: { ...fs, ...change } }) });
  const { problems } = await load([builtin(fsText())], refused);
  expect(problems).toEqual([expect.stringContaining(`and ${what}; say why`)]);
});

test("an override that may learn hosts needs a reason", async () => {
  const fetch = (egress: Members) =>
    httpText({
      params: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
      http: { method: "GET", url: "{+url}" },
      effects: ["http_read"],
      egress,
    });
  const open = folder({ "a.yaml": fetch({ hosts: ["a.example.com"], learn: true }) });
  const { problems } = await load([builtin(fetch({ hosts: ["a.example.com"] }))], open);
  expect(problems).toEqual([expect.stringContaining("and widens egress: hosts may be learned; say why")]);
});

test("an override that is as strict or stricter needs none; an equal one may lie beside it", async () => {
  const before = builtin(httpText(strict));
  const stricter = {
    ...strict,
    risk: { level: "critical" },
    summary: "Stricter.",
    egress: { hosts: [{ host: "api.example.com", methods: ["POST"] }] },
  };
  const result = await load([before], folder({ "a.yaml": httpText(stricter) }));
  expect(result.problems).toEqual([]);
  expect(result.registry.get("issue_create")?.risk.level).toBe("critical");
  expect((await load([before], folder({ "a.yaml": httpText(strict) }))).problems).toEqual([]);
});

test("a reason without anything to override is a mistake", async () => {
  const override = { reason: "left over from long ago" };
  const { problems } = await load([], folder({ "a.yaml": httpText({ override }) }));
  expect(problems[0]).toContain(
    "override: nothing is overridden: no earlier manifest has this id; remove override",
  );
});

test("a later folder beats an earlier one, and is held against it", async () => {
  const first = folder({ "a.yaml": httpText({ ...strict, summary: "First." }) });
  const second = folder({ "a.yaml": httpText({ ...strict, summary: "Second.", risk: { level: "medium" } }) });
  expect((await load([], first, second)).problems[0]).toContain("lowers the risk from high to medium");
});

test("a preset limits the built-ins, not what the operator adds or overrides", async () => {
  const builtins = builtinManifests();
  const files = folder({ "n.yaml": fsText() });
  const limited = await loadActions({ builtins, directories: [files], only: ["http_fetch", "fs_read"] });
  expect(limited.problems).toEqual([]);
  expect(limited.registry.list().map((action) => action.id)).toEqual(["fs_read", "http_fetch", "note_write"]);
  const mistyped = await loadActions({ builtins, directories: [], only: ["http_fecth"] });
  expect(mistyped.problems.map(formatProblem)).toEqual([
    "preset: no built-in action is called http_fecth; did you mean http_fetch? [unknown_action]",
  ]);
  expect(mistyped.registry.list()).toEqual([]);
});

test("an override of a built-in outside the preset is still held against it", async () => {
  const fetch = builtinManifests().find((one) => one.file.includes("http_delete"));
  const text = (fetch?.text ?? "").replace("risk: { level: high", "risk: { level: medium");
  const { problems } = await loadActions({
    builtins: builtinManifests(),
    directories: [folder({ "a.yaml": text })],
    only: ["fs_read"],
  });
  expect(problems.map((one) => one.code)).toEqual(["manifest_invalid"]);
  expect(problems[0]?.message).toBe("medium is below high, which a deleting action needs");
});

test("a generation is what the caller counts", async () => {
  expect((await loadActions({ builtins: [], directories: [], generation: 7 })).registry.generation).toBe(7);
});
