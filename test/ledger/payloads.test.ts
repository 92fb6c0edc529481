import type { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { LedgerError } from "../../src/ledger/errors.ts";
import { openPayloadDatabase } from "../../src/ledger/store/database.ts";
import {
  commit,
  commitUnder,
  makePayload,
  type Payload,
  PayloadReader,
  PayloadWriter,
  pepper,
} from "../../src/ledger/store/payloads.ts";

let dir: string;
let db: Database;
let writer: PayloadWriter;
let reader: PayloadReader;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-payloads-"));
  db = openPayloadDatabase(join(dir, "payloads.db"));
  writer = new PayloadWriter(db);
  reader = new PayloadReader(db);
});
afterAll(() => {
  writer.close();
  db.close();
  rmSync(dir, { recursive: true, force: true });
});

async function stored(text: string): Promise<Payload & { readonly commitment: string }> {
  const payload = makePayload("call", Buffer.from(text));
  await writer.write([payload], 0);
  return { ...payload, commitment: commit(payload).commitment };
}

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return (error as LedgerError).code;
  }
};

test("a commitment is the hash of salt and bytes, under a salt that is never used twice", () => {
  const payload = makePayload("call", Buffer.from("body"));
  expect(commit(payload)).toEqual({
    commitment: createHash("sha256").update(payload.salt).update("body").digest("hex"),
    bytes: 4,
  });
  expect(payload.salt).toHaveLength(32);
  expect(commit(makePayload("call", Buffer.from("body"))).commitment).not.toBe(commit(payload).commitment);
  expect(commitUnder(payload.salt, "body")).toBe(commit(payload).commitment);
});

test("any bytes come back as they were", async () => {
  const property = fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
    const payload = makePayload("output", bytes);
    await writer.write([payload], 0);
    const read = reader.read(commit(payload).commitment);
    expect(read.kind).toBe("output");
    expect(Buffer.from(read.bytes)).toEqual(Buffer.from(bytes));
    expect(Buffer.from(read.salt)).toEqual(Buffer.from(payload.salt));
  });
  await fc.assert(property, { seed: 1, numRuns: 25 });
});

test("nothing of a body can be read from the files, and others can't open them", async () => {
  await stored("a secret that a body holds");
  for (const name of ["payloads.db", "payloads.db-wal"]) {
    expect(readFileSync(join(dir, name)).includes("a secret that a body holds")).toBe(false);
    expect(statSync(join(dir, name)).mode & 0o077).toBe(0);
  }
});

test("a pruned payload is gone: without its key the sealed bytes say nothing", async () => {
  const { commitment } = await stored("pruned");
  db.query("DELETE FROM payload_keys WHERE commitment = ?").run(commitment);
  expect(codeOf(() => reader.read(commitment))).toBe("payload_missing");
  expect(codeOf(() => reader.read("0".repeat(64)))).toBe("payload_missing");
});

test("a payload that is not what the log committed to is not given out", async () => {
  const a = await stored("a");
  const b = await stored("b");
  const set = (sql: string, ...values: (string | Uint8Array)[]) => db.query(sql).run(...values);
  const rowOf = (commitment: string) =>
    db
      .query<{ sealed: Uint8Array; key: Uint8Array }, [string]>(
        "SELECT sealed, key FROM payloads JOIN payload_keys USING (commitment) WHERE commitment = ?",
      )
      .get(commitment) ?? { sealed: new Uint8Array(), key: new Uint8Array() };
  const [rowA, rowB] = [rowOf(a.commitment), rowOf(b.commitment)];
  // Another payload's bytes, with its key: they are sealed for the commitment that names them.
  set("UPDATE payloads SET sealed = ? WHERE commitment = ?", rowB.sealed, a.commitment);
  expect(codeOf(() => reader.read(a.commitment))).toBe("payload_missing");
  set("UPDATE payload_keys SET key = ? WHERE commitment = ?", rowB.key, a.commitment);
  expect(codeOf(() => reader.read(a.commitment))).toBe("payload_missing");
  // Its own bytes under another key, cut, or with one bit changed.
  set("UPDATE payloads SET sealed = ? WHERE commitment = ?", rowA.sealed, a.commitment);
  expect(codeOf(() => reader.read(a.commitment))).toBe("payload_missing");
  set("UPDATE payload_keys SET key = ? WHERE commitment = ?", rowA.key, a.commitment);
  expect(codeOf(() => reader.read(a.commitment))).toBe("none");
  for (let at = 0; at < rowA.sealed.length; at++) {
    const flipped = Uint8Array.from(rowA.sealed);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    set("UPDATE payloads SET sealed = ? WHERE commitment = ?", flipped, a.commitment);
    expect(codeOf(() => reader.read(a.commitment))).toBe("payload_missing");
  }
  for (const length of [0, 1, 12, 27, 28, rowA.sealed.length - 1]) {
    set("UPDATE payloads SET sealed = ? WHERE commitment = ?", rowA.sealed.subarray(0, length), a.commitment);
    expect(codeOf(() => reader.read(a.commitment))).toBe("payload_missing");
  }
});

test("the pepper is made once and kept", () => {
  const first = Buffer.from(pepper(db));
  expect(first).toHaveLength(32);
  expect(Buffer.from(pepper(db))).toEqual(first);
});
