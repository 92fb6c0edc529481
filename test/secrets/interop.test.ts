/** Both ways with the real `sops`: what it writes we read and change, what we write it reads and changes. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generateIdentity, recipientOf } from "../../src/secrets/age.ts";
import { withFreshKey, withoutSecret, withSecret } from "../../src/secrets/edit.ts";
import { requireTool } from "../require-tool.ts";
import {
  edited,
  FIXTURES,
  FORMATS,
  fixture,
  fixtureIdentities,
  IDENTITY,
  madeFile,
  principal,
  RECIPIENT,
  SHARED,
  scratch,
  seen,
  tenant,
} from "./secrets-files.ts";

const { sops: VERSION } = JSON.parse(readFileSync(join(FIXTURES, "version.json"), "utf8")) as {
  sops: string;
};
const SOPS = process.env.LATCHGATE_SOPS || "sops";
const withSops = requireTool(SOPS, `go install github.com/getsops/sops/v3/cmd/sops@v${VERSION}`);

const AWKWARD = [
  "plain",
  "line one\nline two\n",
  "017",
  "true",
  "null",
  "~",
  " spaces ",
  "quotes \" and ' and \\n",
  "日本 😀",
  "# no comment",
  "- no: list",
  "ENC[not]",
  "\ttab",
];

let folder: ReturnType<typeof scratch>;
beforeAll(() => {
  folder = scratch();
});
afterAll(() => folder[Symbol.dispose]());

/** Runs sops on a file of the scratch folder. The identity reaches it by a variable. */
function sops(words: readonly string[], identity = IDENTITY): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync([SOPS, ...words], {
    cwd: folder.dir,
    env: { PATH: process.env.PATH ?? "", HOME: folder.dir, SOPS_AGE_KEY: identity },
  });
  if (exitCode !== 0) throw new Error(`sops ${words[0]}: ${stderr.toString()}`);
  return stdout.toString();
}

function decrypted(name: string, text: string): Record<string, unknown> {
  folder.write(name, text);
  return JSON.parse(sops(["decrypt", "--output-type", "json", name])) as Record<string, unknown>;
}

describe.each(FORMATS)("%s", (ending) => {
  withSops("what we wrote, sops reads: every awkward value, rotated too", async () => {
    const name = `ours.${ending}`;
    const secrets = AWKWARD.map((value, i) => ({ owner: SHARED, name: `S${i}`, value }));
    const text = await madeFile(name, secrets);
    const expected = Object.fromEntries(secrets.map((secret) => [secret.name, secret.value]));
    expect(decrypted(name, text)).toEqual(expected);
    const rotated = await edited(name, text, (unlocked) => withFreshKey(unlocked, [RECIPIENT], 0));
    expect(decrypted(name, rotated)).toEqual(expected);
    const fewer = await edited(name, rotated, (unlocked) => withoutSecret(unlocked, SHARED, "S0", 0) ?? "");
    const { S0: _gone, ...rest } = expected;
    expect(decrypted(name, fewer)).toEqual(rest);
  });

  withSops("an empty file of ours is one for sops", async () => {
    expect(decrypted(`empty.${ending}`, await madeFile(`empty.${ending}`, []))).toEqual({});
  });

  withSops("what sops changed in our file we read, and the other way round", async () => {
    const name = `turns.${ending}`;
    folder.write(name, await madeFile(name, [{ owner: SHARED, name: "ONE", value: "1" }]));
    sops(["set", name, '["TWO"]', '"by sops"']);
    const text = readFileSync(join(folder.dir, name), "utf8");
    expect(await seen(name, text)).toEqual({ "*/*/ONE": "1", "*/*/TWO": "by sops" });
    const ours = await edited(name, text, (unlocked) =>
      withSecret(unlocked, SHARED, "TWO", Buffer.from("by us"), 0),
    );
    expect(decrypted(name, ours)).toEqual({ ONE: "1", TWO: "by us" });
    sops(["rotate", "--in-place", name]);
    const rotated = readFileSync(join(folder.dir, name), "utf8");
    expect(await seen(name, rotated)).toEqual({ "*/*/ONE": "1", "*/*/TWO": "by us" });
  });

  withSops("a recipient that we add opens the file in sops, one that we leave out does not", async () => {
    const other = await generateIdentity();
    const recipient = (await recipientOf(other)) ?? "";
    const name = `shared.${ending}`;
    const before = await madeFile(name, [{ owner: SHARED, name: "ONE", value: "1" }]);
    folder.write(
      name,
      await edited(name, before, (unlocked) => withFreshKey(unlocked, [RECIPIENT, recipient], 0)),
    );
    expect(sops(["decrypt", name], other)).toBe(sops(["decrypt", name]));
    folder.write(name, await edited(name, before, (unlocked) => withFreshKey(unlocked, [recipient], 0)));
    expect(() => sops(["decrypt", name])).toThrow("sops decrypt");
    expect(sops(["decrypt", name], other)).toContain("ONE");
  });

  withSops(
    "a mixed file that sops makes afresh is read, changed and given back with its comments",
    async () => {
      const plain = `mixed.plain.${ending}`;
      folder.write(plain, fixture(plain));
      const name = `mixed.${ending}`;
      const text = sops(["encrypt", "--age", RECIPIENT, plain]);
      const committed = await seen(
        `x.enc.${ending}`,
        fixture(`mixed.enc.${ending}`),
        await fixtureIdentities(),
      );
      expect(await seen(name, text)).toEqual(committed);
      folder.write(name, text);
      const before = sops(["decrypt", name]);
      const changed = await edited(name, text, (unlocked) =>
        withSecret(unlocked, SHARED, "GITHUB_TOKEN", Buffer.from("ghp_new"), 0),
      );
      const rotated = await edited(name, changed, (unlocked) => withFreshKey(unlocked, [RECIPIENT], 0));
      folder.write(name, rotated);
      expect(sops(["decrypt", name])).toBe(before.replace("ghp_abc", "ghp_new"));
    },
  );
});

for (const ending of ["yaml", "json"])
  withSops(`tenants and principals of a ${ending} file are maps for sops`, async () => {
    const text = await madeFile(`nested.${ending}`, [
      { owner: SHARED, name: "A", value: "1" },
      { owner: tenant("acme"), name: "A", value: "2" },
      { owner: principal("acme", "oidc:https://issuer.example:sub"), name: "A", value: "3" },
    ]);
    expect(decrypted(`nested.${ending}`, text)).toEqual({
      A: "1",
      tenants: { acme: { A: "2", principals: { "oidc:https://issuer.example:sub": { A: "3" } } } },
    });
  });
