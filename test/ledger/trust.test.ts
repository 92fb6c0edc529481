/** Whom an auditor names: what can't be read is refused, and never left out in silence. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTrust, readWitnesses } from "../../src/ledger/verify/trust.ts";
import { WitnessIdentity } from "./witness-server.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "latchgate-trust-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const written = (text: string): string => {
  const path = join(folder, `file${files++}`);
  writeFileSync(path, text);
  return path;
};
const [one, two] = [new WitnessIdentity("w/1").vkey, new WitnessIdentity("w/2").vkey];
const X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const jwk = { kty: "OKP", crv: "Ed25519", x: X };

test("witnesses come from a key or from a file with one on each line", () => {
  expect(readWitnesses(undefined)).toEqual([]);
  expect(readWitnesses(one).map(({ name }) => name)).toEqual(["w/1"]);
  expect(readWitnesses(written(`${one}\n\n${two}\n`)).map(({ name }) => name)).toEqual(["w/1", "w/2"]);
});

test.each([
  ["an empty file", () => written("")],
  ["a line among others that is no key", () => written(`${one}\n${two.slice(0, -4)}\n`)],
  ["a key with a remark", () => written(`${one} # ours\n`)],
  ["a file that is not there", () => join(folder, "absent")],
])("witnesses: %s is refused", (_, make) => {
  expect(() => readWitnesses(make())).toThrow("--witness takes");
});

test("trust comes from a fingerprint or from a jwk set, of which other kinds of keys are left out", () => {
  const set = {
    keys: [
      { kty: "EC", crv: "P-256", x: X, y: X },
      { ...jwk, "latchgate:purpose": "evidence" },
    ],
  };
  const trust = readTrust(written(JSON.stringify(set)));
  expect(trust.keys).toMatchObject([{ jwk, purpose: "evidence" }]);
  const [kid = ""] = trust.fingerprints;
  expect(readTrust(`SHA256:${kid}`).fingerprints).toEqual(new Set([kid]));
});

test.each([
  ["a set without a key that could sign", () => written('{"keys":[]}')],
  ["a set of other keys", () => written(JSON.stringify({ keys: [{ kty: "EC" }] }))],
  ["no set", () => written("[]")],
  ["no json", () => written("keys")],
  ["a file that is not there", () => join(folder, "absent")],
])("trust: %s is refused", (_, make) => {
  expect(() => readTrust(make())).toThrow("--trust takes");
});
