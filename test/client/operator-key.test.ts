import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OperatorSource, operatorIdentity } from "../../src/client/operator-key.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { generateKey, writeKeyFile, writePrivateFile } from "../../src/keys/key-file.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-test-"));
  mkdirSync(join(dir, "operators"), { mode: 0o700 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string): string {
  const key = generateKey("p256");
  writeKeyFile(join(dir, path), key);
  return thumbprint(publicJwk(key));
}

function encrypted(path: string): void {
  const pem = generateKey("p256").export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "correct horse",
  }) as string;
  writePrivateFile(join(dir, path), pem);
}

const who = (source: Partial<OperatorSource> = {}) =>
  operatorIdentity({ env: {}, stateDir: dir, operators: [], askPassphrase: async () => null, ...source });
const listed = (...ids: string[]) => ids.map((id) => ({ id, thumbprint: null }));
const failing = (code: string, message: string) => ({ code, message: expect.stringContaining(message) });

describe("the operator", () => {
  test("is the one of the project whose key is here", async () => {
    const jkt = put("operators/alice.pem");
    const found = await who({ operators: listed("alice", "bob") });
    expect([found.id, found.token, found.key.jkt]).toEqual(["alice", "alice", jkt]);
  });

  test("must be chosen when there are keys for several", async () => {
    put("operators/alice.pem");
    const jkt = put("operators/bob.pem");
    const operators = listed("alice", "bob");
    await expect(who({ operators })).rejects.toMatchObject(
      failing("operator_unknown", "several operators: alice, bob"),
    );
    expect((await who({ operators, name: "bob" })).key.jkt).toBe(jkt);
    expect((await who({ operators, env: { LATCHGATE_OPERATOR: "bob" } })).id).toBe("bob");
  });

  test("is not guessed from keys that the project does not list", async () => {
    put("operators/alice.pem");
    await expect(who()).rejects.toMatchObject(failing("operator_unknown", "no operator key for this gate"));
  });

  test("of a key file is the one with its thumbprint, else the file's name", async () => {
    const jkt = put("some-key.pem");
    const env = { LATCHGATE_OPERATOR_KEY_FILE: join(dir, "some-key.pem") };
    expect((await who({ env })).id).toBe("some-key");
    expect((await who({ env, operators: [{ id: "carol", thumbprint: jkt }] })).id).toBe("carol");
    expect((await who({ env, name: "dave" })).id).toBe("dave");
  });

  test("may need a token beside the key", async () => {
    put("operators/alice.pem");
    writePrivateFile(join(dir, "token"), "s3cret\n");
    const env = { LATCHGATE_OPERATOR_TOKEN_FILE: join(dir, "token") };
    expect(await who({ name: "alice", env })).toMatchObject({ id: "alice", token: "s3cret" });
    chmodSync(join(dir, "token"), 0o644);
    await expect(who({ name: "alice", env })).rejects.toMatchObject({ code: "state_unsafe" });
  });

  for (const name of ["../alice", "a/b", "", " ", ".hidden", "x".repeat(200)].filter((name) => name !== ""))
    test(`is not called ${JSON.stringify(name.slice(0, 10))}`, async () => {
      await expect(who({ name })).rejects.toMatchObject({ code: "operator_unknown" });
    });
});

describe("the key file", () => {
  test("may be protected by a passphrase, from a file or from a person", async () => {
    encrypted("operators/alice.pem");
    writePrivateFile(join(dir, "pass"), "correct horse\n");
    const byFile = await who({
      name: "alice",
      env: { LATCHGATE_OPERATOR_PASSPHRASE_FILE: join(dir, "pass") },
    });
    const asked: string[] = [];
    const askPassphrase = async (file: string) => {
      asked.push(file);
      return "correct horse";
    };
    const byPerson = await who({ name: "alice", askPassphrase });
    expect(byPerson.key.jkt).toBe(byFile.key.jkt);
    expect(asked).toEqual([join(dir, "operators/alice.pem")]);
  });

  test("stays closed to a wrong passphrase and to nobody", async () => {
    encrypted("operators/alice.pem");
    const wrong = who({ name: "alice", askPassphrase: async () => "wrong" });
    await expect(wrong).rejects.toMatchObject(failing("operator_key", "with this passphrase"));
    await expect(who({ name: "alice" })).rejects.toMatchObject(
      failing("operator_key", "protected by a passphrase"),
    );
  });

  test("is refused when others can read it, when it is missing, and when it is no key", async () => {
    put("operators/alice.pem");
    chmodSync(join(dir, "operators/alice.pem"), 0o604);
    await expect(who({ name: "alice" })).rejects.toMatchObject({ code: "state_unsafe" });
    await expect(who({ name: "bob" })).rejects.toMatchObject(
      failing("operator_key", "there is no operator key"),
    );
    writeFileSync(join(dir, "operators/eve.pem"), "nonsense", { mode: 0o600 });
    await expect(who({ name: "eve" })).rejects.toMatchObject(failing("operator_key", "not a private key"));
    writeKeyFile(join(dir, "operators/ed.pem"), generateKey("ed25519"));
    await expect(who({ name: "ed" })).rejects.toMatchObject(failing("operator_key", "not a p-256 key"));
  });
});
