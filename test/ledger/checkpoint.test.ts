/** C2SP tlog-checkpoint in C2SP signed-note. */
import { describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import {
  checkpointOrigin,
  checkpointSignedBy,
  parseCheckpoint,
  signCheckpoint,
} from "../../src/ledger/checkpoint.ts";

const pair = () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  return { privateKey, publicKey, raw };
};
const key = pair();
const other = pair();

const LOG = "018bcfe5-6800-7000-8000-000000000000";
const checkpoint = {
  origin: checkpointOrigin(LOG),
  size: 42,
  root: createHash("sha256").update("root").digest(),
};
const note = signCheckpoint(checkpoint, key.privateKey, key.raw);

const signedBy = (text: string, { publicKey, raw }: { publicKey: KeyObject; raw: Buffer } = key) =>
  checkpointSignedBy(text, publicKey, raw);

test("a note is the text, a blank line, and a signature line that names its key", () => {
  const [origin, size, root, blank, line, end] = note.split("\n");
  expect([origin, size, root, blank, end]).toEqual([
    `latchgate/${LOG}`,
    "42",
    checkpoint.root.toString("base64"),
    "",
    "",
  ]);
  const [dash, name, base64 = ""] = (line ?? "").split(" ");
  expect([dash, name]).toEqual(["—", `latchgate/${LOG}`]);
  const blob = Buffer.from(base64, "base64");
  const id = createHash("sha256")
    .update(`latchgate/${LOG}\n`)
    .update(Buffer.of(1))
    .update(key.raw)
    .digest()
    .subarray(0, 4);
  expect(blob.subarray(0, 4)).toEqual(id);
  const text = Buffer.from(note.slice(0, note.indexOf("\n\n") + 1));
  expect(verify(null, text, key.publicKey, blob.subarray(4))).toBe(true);
});

test("it is read back, and known as signed by its key alone", () => {
  expect(parseCheckpoint(note)?.checkpoint).toEqual(checkpoint);
  expect(signedBy(note)).toBe(true);
  expect(signedBy(note, other)).toBe(false);
  // A key that goes by the id of another proves nothing.
  expect(signedBy(note, { publicKey: other.publicKey, raw: key.raw })).toBe(false);
});

test("a further signature, such as a witness's, does not disturb it", () => {
  expect(signedBy(`${note}— witness.test/w ${Buffer.alloc(76, 1).toString("base64")}\n`)).toBe(true);
});

describe("an altered note is refused", () => {
  const rootLine = checkpoint.root.toString("base64");
  test.each([
    ["another size", note.replace("\n42\n", "\n43\n")],
    ["another origin", note.replace(`latchgate/${LOG}\n`, "latchgate/other\n")],
    ["another root", note.replace(rootLine, Buffer.alloc(32).toString("base64"))],
    ["a size with a leading zero", note.replace("\n42\n", "\n042\n")],
    ["a size with a sign", note.replace("\n42\n", "\n+42\n")],
    ["a size that is a hexadecimal", note.replace("\n42\n", "\n0x2a\n")],
    ["a size beyond what numbers tell apart", note.replace("\n42\n", "\n99999999999999999\n")],
    ["a root in another alphabet", note.replace(rootLine, checkpoint.root.toString("base64url"))],
    ["a root of another length", note.replace(rootLine, Buffer.alloc(31).toString("base64"))],
    ["an extension line", note.replace("\n\n", "\nextension\n\n")],
    ["no signature", note.slice(0, note.indexOf("\n\n") + 2)],
    ["no end of line", note.slice(0, -1)],
    ["carriage returns", note.replaceAll("\n", "\r\n")],
    ["a hyphen for the dash", note.replace("—", "-")],
    ["another name on the signature", note.replace(/— \S+/, "— latchgate/other")],
    ["nothing", ""],
  ])("%s", (_, text) => {
    expect(text).not.toBe(note);
    expect(signedBy(text)).toBe(false);
  });

  test("one bit of the signature", () => {
    const line = note.trimEnd().split(" ").at(-1) ?? "";
    const blob = Buffer.from(line, "base64");
    for (let at = 0; at < blob.length; at++) {
      const flipped = Buffer.from(blob);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(signedBy(note.replace(line, flipped.toString("base64")))).toBe(false);
    }
  });
});
