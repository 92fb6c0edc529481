import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyError } from "../../src/keys/errors.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { generateKey, readKeyFile, writeKeyFile, writePrivateFile } from "../../src/keys/key-file.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-keys-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const fresh = () => join(dir, crypto.randomUUID());
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(KeyError);
    return (error as KeyError).code;
  }
  return "none";
};

test("a key comes back from its file, which only its owner can read, whatever the umask", () => {
  for (const type of ["ed25519", "p256"] as const) {
    const path = fresh();
    const key = generateKey(type);
    const umask = process.umask(0);
    try {
      writeKeyFile(path, key);
    } finally {
      process.umask(umask);
    }
    expect(statSync(path).mode & 0o7777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toStartWith("-----BEGIN PRIVATE KEY-----");
    expect(thumbprint(publicJwk(readKeyFile(path, type)))).toBe(thumbprint(publicJwk(key)));
  }
});

test("a key is never written over a file, through a link, or into a missing folder", () => {
  const key = generateKey("ed25519");
  const taken = fresh();
  writeFileSync(taken, "kept");
  expect(codeOf(() => writeKeyFile(taken, key))).toBe("key_exists");
  expect(readFileSync(taken, "utf8")).toBe("kept");
  const dangling = fresh();
  const target = fresh();
  symlinkSync(target, dangling);
  expect(codeOf(() => writePrivateFile(dangling, "secret"))).toBe("key_exists");
  expect(existsSync(target)).toBe(false);
  expect(codeOf(() => writeKeyFile(join(dir, "absent", "key.pem"), key))).toBe("key_exists");
});

test("a file that others can read or write is refused, and so is one of another account", () => {
  const path = fresh();
  writeKeyFile(path, generateKey("ed25519"));
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o601, 0o610, 0o644, 0o666, 0o777]) {
    chmodSync(path, mode);
    expect({ mode, code: codeOf(() => readKeyFile(path, "ed25519")) }).toEqual({
      mode,
      code: "key_permissions",
    });
  }
  chmodSync(path, 0o400);
  expect(codeOf(() => readKeyFile(path, "ed25519"))).toBe("none");
  if (process.getuid?.() !== 0) return;
  chownSync(path, 65_534, 65_534);
  expect(codeOf(() => readKeyFile(path, "ed25519"))).toBe("key_permissions");
});

test("a link, a folder, a fifo and nothing at all are refused, without waiting for a writer", () => {
  const path = fresh();
  writeKeyFile(path, generateKey("ed25519"));
  const link = fresh();
  symlinkSync(path, link);
  expect(codeOf(() => readKeyFile(link, "ed25519"))).toBe("key_missing");
  const folder = fresh();
  mkdirSync(folder, { mode: 0o700 });
  expect(codeOf(() => readKeyFile(folder, "ed25519"))).toBe("key_malformed");
  const fifo = fresh();
  expect(Bun.spawnSync(["mkfifo", "-m", "600", fifo]).exitCode).toBe(0);
  expect(codeOf(() => readKeyFile(fifo, "ed25519"))).toBe("key_malformed");
  expect(codeOf(() => readKeyFile(fresh(), "ed25519"))).toBe("key_missing");
});

test("a key of another type or none at all is refused without repeating what the file holds", () => {
  const path = fresh();
  writeKeyFile(path, generateKey("p256"));
  expect(codeOf(() => readKeyFile(path, "ed25519"))).toBe("key_wrong_type");
  const other = fresh();
  writeKeyFile(other, generateKey("ed25519"));
  expect(codeOf(() => readKeyFile(other, "p256"))).toBe("key_wrong_type");
  const damaged = fresh();
  const secret = "MC4CAQAwBQYDK2VwBCIEIHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE";
  writePrivateFile(
    damaged,
    `-----BEGIN PRIVATE KEY-----\n${secret.slice(0, 40)}\n-----END PRIVATE KEY-----\n`,
  );
  try {
    readKeyFile(damaged, "ed25519");
    throw new Error("read");
  } catch (error) {
    expect(error).toBeInstanceOf(KeyError);
    const { code, cause, message } = error as KeyError;
    expect({ code, cause }).toEqual({ code: "key_malformed", cause: undefined });
    expect(message).not.toContain(secret.slice(0, 10));
  }
});
