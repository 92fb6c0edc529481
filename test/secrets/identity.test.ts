import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { protect, unprotect } from "../../src/secrets/age.ts";
import {
  type IdentitySource,
  identityCommand,
  identityFile,
  unlockIdentityFile,
} from "../../src/secrets/identity.ts";
import { requireTool } from "../require-tool.ts";
import { IDENTITY, quicklyProtected, RECIPIENT, scratch } from "./secrets-files.ts";

let folder: ReturnType<typeof scratch>;
beforeAll(() => {
  folder = scratch();
});
afterAll(() => folder[Symbol.dispose]());

const patient = () => AbortSignal.timeout(30_000);

/** What a source's refusal tells, with all that hangs on it. */
async function refusal(source: IdentitySource | Promise<unknown>): Promise<{ code: string; told: string }> {
  try {
    await ("open" in source ? source.open(patient()) : source);
  } catch (error) {
    const told = Bun.inspect(error, { depth: 10 });
    return { code: (error as { code: string }).code, told: `${told} ${JSON.stringify(error)}` };
  }
  throw new Error("it was taken");
}

describe("an identity file", () => {
  test("as age-keygen writes it is taken", async () => {
    const path = folder.write("good.txt", `# created: x\n# public key: ${RECIPIENT}\n\n${IDENTITY}\n`);
    expect(await identityFile(path).open(patient())).toEqual([IDENTITY]);
  });

  test.each([
    ["a changed key", IDENTITY.replace(/.$/, (last) => (last === "Q" ? "P" : "Q"))],
    ["a cut key", IDENTITY.slice(0, -3)],
    ["a key in lower case", IDENTITY.toLowerCase()],
    ["a key after text", `key=${IDENTITY}`],
    ["an ssh key", "-----BEGIN OPENSSH PRIVATE KEY-----"],
    ["a plug-in's", "AGE-PLUGIN-YUBIKEY-1QQQQQ"],
    ["nothing", "# only a comment"],
  ])("with %s is refused, and the refusal does not tell it", async (what, line) => {
    const { code, told } = await refusal(identityFile(folder.write(`bad-${what}.txt`, `# x\n${line}\n`)));
    expect(code).toBe("secrets_unavailable");
    expect(told).not.toContain(line.slice(0, 60));
    expect(told).not.toContain(line.slice(20, 60) || "never");
  });

  test.each([0o640, 0o604, 0o620])("of mode %o is refused", async (mode) => {
    const path = folder.write(`mode-${mode}.txt`, IDENTITY, mode);
    expect((await refusal(identityFile(path))).told).toContain("chmod 600");
  });

  test("under a passphrase opens with it and with no other", async () => {
    const path = folder.write("protected.txt", await quicklyProtected(`${IDENTITY}\n`, "correct horse"));
    expect(await unlockIdentityFile(path, async () => "correct horse")).toEqual([IDENTITY]);
    const wrong = await refusal(unlockIdentityFile(path, async () => "wrong horse"));
    expect(wrong.code).toBe("secrets_unavailable");
    expect(wrong.told).not.toContain("wrong horse");
    expect((await refusal(identityFile(path))).told).toContain("not unlocked");
  });

  test("that we protect opens again", async () => {
    const made = Buffer.from(await protect(`${IDENTITY}\n`, "correct horse"));
    expect(await unprotect(made, "correct horse", "it")).toBe(`${IDENTITY}\n`);
  });

  test("that is reached through a link, which was looked at before, is refused", async () => {
    mkdirSync(join(folder.dir, "elsewhere"));
    folder.write("elsewhere/keys.txt", `${IDENTITY}\n`);
    symlinkSync("elsewhere", join(folder.dir, "link"));
    const path = join(folder.dir, "link/keys.txt");
    expect((await refusal(identityFile(path))).told).toContain("reached through a link");
    const unlocked = unlockIdentityFile(path, () => Promise.reject(new Error("asked")));
    expect((await refusal(unlocked)).told).toContain("reached through a link");
    expect(await identityFile(join(folder.dir, "elsewhere/keys.txt")).open(patient())).toEqual([IDENTITY]);
  });

  test("without a passphrase asks for none", async () => {
    const path = folder.write("open.txt", IDENTITY);
    const asked = unlockIdentityFile(path, () => Promise.reject(new Error("asked")));
    expect(await asked).toBeNull();
  });

  requireTool("age", "apt-get install age")("of the age program is understood", async () => {
    const path = folder.write("age-made.txt", IDENTITY);
    const encrypted = Bun.spawnSync(["age", "-a", "-r", RECIPIENT, path]).stdout.toString();
    const { unwrapWith } = await import("../../src/secrets/age.ts");
    expect(Buffer.from((await unwrapWith([IDENTITY], encrypted)) ?? "").toString()).toBe(IDENTITY);
  });
});

describe("an identity command", () => {
  const command = (script: string) => identityCommand(["/bin/sh", "-c", script], folder.dir);

  test("that prints an identity gives it", async () => {
    expect(await command(`echo ${IDENTITY}`).open(patient())).toEqual([IDENTITY]);
  });

  test.each([
    ["fails", `echo ${IDENTITY}; exit 3`],
    ["fails and tells the key", `echo ${IDENTITY} >&2; exit 1`],
    ["prints nothing", "true"],
    ["prints something else", `echo secret-${IDENTITY}`],
    ["prints without end", "yes"],
    ["is killed", "kill -9 $$"],
  ])("that %s is refused, without its words", async (_what, script) => {
    const { code, told } = await refusal(command(script));
    expect(code).toBe("secrets_unavailable");
    expect(told).not.toContain(IDENTITY.slice(20, 50));
  });

  test("that does not exist is refused", async () => {
    const missing = identityCommand([join(folder.dir, "nothing-here")], folder.dir);
    expect((await refusal(missing)).code).toBe("secrets_unavailable");
  });

  test("sees nothing of our environment but what keyrings need, and no stdin", async () => {
    process.env.LATCHGATE_SECRET_OF_OURS = "leak";
    try {
      const script = `[ -z "$LATCHGATE_SECRET_OF_OURS" ] && [ -z "$(cat)" ] && [ -n "$PATH" ] && echo ${IDENTITY}`;
      expect(await command(script).open(patient())).toEqual([IDENTITY]);
    } finally {
      delete process.env.LATCHGATE_SECRET_OF_OURS;
    }
  });
});
