/** Secrets files for tests: made in memory or in a scratch folder, and seen the way that callers see them. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { armor, Encrypter } from "age-encryption";
import { LatchGateError } from "../../src/core/errors.ts";
import { generateIdentity, type Identities, parseIdentities, recipientOf } from "../../src/secrets/age.ts";
import { newFile, type Unlocked, unlock, withSecret } from "../../src/secrets/edit.ts";
import type { Owner } from "../../src/secrets/layout.ts";
import { open } from "../../src/secrets/sops/envelope.ts";
import { checkVersion } from "../../src/secrets/version.ts";

export const FIXTURES = join(import.meta.dir, "../vectors/sops");
export const FORMATS = ["yaml", "json", "env"] as const;

export const SHARED: Owner = { tenant: null, principal: null };
export const tenant = (name: string): Owner => ({ tenant: name, principal: null });
export const principal = (of: string, name: string): Owner => ({ tenant: of, principal: name });

export interface Given {
  readonly owner: Owner;
  readonly name: string;
  readonly value: string;
}

/** One identity for a test file: making them is cheap, but each file is opened with it many times. */
export const IDENTITY: string = await generateIdentity();
export const RECIPIENT: string = (await recipientOf(IDENTITY)) ?? "";

export function fixtureIdentities(): Promise<Identities> {
  return parseIdentities(readFileSync(join(FIXTURES, "identity.txt"), "utf8"), "the fixture");
}

export function fixture(name: string): string {
  return readFileSync(join(FIXTURES, name), "utf8");
}

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** The text of a file with these secrets, as `latchgate secrets set` would make it. */
export async function madeFile(path: string, secrets: readonly Given[]): Promise<string> {
  let text = await newFile(path, [RECIPIENT], NOW);
  for (const { owner, name, value } of secrets)
    text = await edited(path, text, (unlocked) =>
      withSecret(unlocked, owner, name, Buffer.from(value, "utf8"), NOW),
    );
  return text;
}

/** The text after one change. */
export async function edited(
  path: string,
  text: string,
  change: (unlocked: Unlocked) => string | Promise<string>,
  identities: Identities = [IDENTITY],
): Promise<string> {
  return change(await unlock(path, text, identities));
}

/** Every secret of a file in the clear, by owner and name; or the code with which the file is refused. */
export async function seen(
  path: string,
  text: string | Uint8Array,
  identities: Identities = [IDENTITY],
): Promise<Record<string, string> | string> {
  const bytes = Buffer.from(text as Uint8Array); // a string's overload does the same
  try {
    const { entries, dataKey } = await checkVersion(path, bytes, identities);
    return Object.fromEntries(
      entries.map(({ tenant, principal, name, envelope, place }) => [
        [tenant ?? "*", principal ?? "*", name].join("/"),
        open(envelope, dataKey, place).toString("utf8"),
      ]),
    );
  } catch (error) {
    if (error instanceof LatchGateError) return error.code;
    throw error;
  }
}

/** An identity file under a passphrase, as `age -p` makes it, but with little work to open it. */
export async function quicklyProtected(text: string, passphrase: string): Promise<string> {
  const encrypter = new Encrypter();
  encrypter.setScryptWorkFactor(8);
  encrypter.setPassphrase(passphrase);
  return armor.encode(await encrypter.encrypt(text));
}

/** A scratch folder, gone when the caller is done with it. */
export function scratch(): {
  readonly dir: string;
  write(name: string, text: string, mode?: number): string;
} & Disposable {
  const dir = mkdtempSync(join(tmpdir(), "secrets-"));
  return {
    dir,
    write(name, text, mode = 0o600) {
      const path = join(dir, name);
      writeFileSync(path, text);
      chmodSync(path, mode);
      return path;
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
