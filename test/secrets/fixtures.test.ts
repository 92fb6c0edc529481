import { describe, expect, test } from "bun:test";
import { type Unlocked, unlock, withFreshKey, withoutSecret, withSecret } from "../../src/secrets/edit.ts";
import { edited, fixture, fixtureIdentities, principal, SHARED, seen, tenant } from "./secrets-files.ts";

const identities = await fixtureIdentities();
const COMMON = {
  "*/*/GITHUB_TOKEN": "ghp_abc",
  "*/*/INT": "42",
  "*/*/MULTI": "line one\nline two\n",
};
const NESTED = {
  ...COMMON,
  "*/*/BIG": "9007199254740993",
  "*/*/FLOAT": "1500",
  "*/*/TRUTH": "True",
  "*/*/UNICODE": "日本 😀",
  "acme/*/TOKEN": "acme-token",
  "acme/uid:1000/TOKEN": "principal-token",
  "beta/*/TOKEN": "beta-token",
};
const EXPECTED: Readonly<Record<string, Record<string, string>>> = {
  "mixed.enc.yaml": { ...NESTED, "*/*/DATE": "2001-02-03T00:00:00Z" },
  "mixed.enc.json": { ...NESTED, "*/*/ROUND": "1", "*/*/HUGE": "123456789012345680000000000000" },
  "mixed.enc.env": { ...COMMON, "*/*/MULTI": "line one\nline two", "*/*/QUOTED": '"kept" as=it is' },
  "comment-rule.enc.yaml": { "*/*/PASSWORD": "by-comment" },
  "plain-comment-rule.enc.yaml": { "*/*/PASSWORD": "by-comment" },
  "mac-only-encrypted.enc.yaml": { "*/*/PASSWORD": "by-comment" },
  "unencrypted-regex.enc.yaml": { "*/*/PASSWORD": "by-comment" },
  "encrypted-suffix.enc.yaml": { "*/*/PASSWORD": "by-comment" },
};

describe.each(Object.entries(EXPECTED))("%s, as sops wrote it", (name, expected) => {
  test("has these secrets", async () => {
    expect(await seen(name, fixture(name), identities)).toEqual(expected);
  });

  test("keeps every line that a change has nothing to do with", async () => {
    const before = fixture(name);
    const after = await edited(
      name,
      before,
      (unlocked) => withSecret(unlocked, SHARED, "PASSWORD", Buffer.from("changed"), 0),
      identities,
    );
    expect(await seen(name, after, identities)).toEqual({ ...expected, "*/*/PASSWORD": "changed" });
    // The rule is written anew with the metadata, in quotes where sops has none.
    const told = /PASSWORD|lastmodified|mac"?[:=]|_regex/;
    const rest = (text: string) => text.split("\n").filter((line) => !told.test(line));
    expect(rest(after)).toEqual(rest(before));
  });

  test("is the same under a fresh key, which the old one does not open", async () => {
    const before = await unlock(name, fixture(name), identities);
    const text = await withFreshKey(before, [before.metadata.age[0]?.recipient ?? ""], 0);
    expect(await seen(name, text, identities)).toEqual(expected);
    const after = await unlock(name, text, identities);
    expect(Buffer.from(after.dataKey).equals(before.dataKey)).toBe(false);
    for (const [old] of fixture(name).matchAll(/ENC\[[^\]]*\]/g)) expect(text).not.toContain(old);
  });
});

test("a removed secret is gone, its neighbours and its comments stay", async () => {
  const name = "mixed.enc.yaml";
  const text = await edited(
    name,
    fixture(name),
    (unlocked) => withoutSecret(unlocked, tenant("acme"), "TOKEN", 0) ?? "",
    identities,
  );
  const { "acme/*/TOKEN": _gone, ...rest } = EXPECTED[name] ?? {};
  expect(await seen(name, text, identities)).toEqual(rest);
  expect(text.match(/#ENC/g)).toEqual(fixture(name).match(/#ENC/g));
});

test("a map whose last value was removed keeps its comment and takes a value again", async () => {
  const name = "mixed.enc.yaml";
  const one = (text: string, change: (unlocked: Unlocked) => string) =>
    edited(name, text, change, identities);
  const without = await one(
    fixture(name),
    (unlocked) => withoutSecret(unlocked, tenant("acme"), "TOKEN", 0) ?? "",
  );
  const empty = await one(
    without,
    (unlocked) => withoutSecret(unlocked, principal("acme", "uid:1000"), "TOKEN", 0) ?? "",
  );
  expect(empty.match(/#ENC/g)).toEqual(fixture(name).match(/#ENC/g));
  const again = await one(empty, (unlocked) =>
    withSecret(unlocked, tenant("acme"), "TOKEN", Buffer.from("again"), 0),
  );
  const { "acme/uid:1000/TOKEN": _gone, ...rest } = EXPECTED[name] ?? {};
  expect(await seen(name, again, identities)).toEqual({ ...rest, "acme/*/TOKEN": "again" });
});
