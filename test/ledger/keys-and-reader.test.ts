import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { KeyHistory, possessionMessage } from "../../src/keys/history.ts";
import { type Ed25519Jwk, type P256Jwk, publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { generateKey } from "../../src/keys/key-file.ts";
import { exportKeys } from "../../src/ledger/load.ts";
import { LedgerReader } from "../../src/ledger/reader.ts";
import { payloadOf, readRows, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const ed25519 = () => publicJwk(generateKey("ed25519")) as Ed25519Jwk; // made as such
const p256 = () => publicJwk(generateKey("p256")) as P256Jwk; // made as such
const opening = () => ({ evidence: ed25519(), checkpoint: ed25519(), lease: p256(), recovery: ed25519() });

function open(keys = opening()): KeyHistory {
  const history = KeyHistory.open(keys);
  if (history === null) throw new Error("not admitted");
  return history;
}

describe("the key history", () => {
  test("a key speaks for its purpose from its introduction until it is replaced, both ends included", () => {
    const keys = opening();
    const history = open(keys);
    const second = ed25519();
    expect(history.rotate("evidence", second, 10)).toBe(true);
    const may = (kid: string) =>
      [0, 9, 10, 11, 1_000_000].map((seq) => history.evidenceKeyAt(kid, seq) !== null);
    expect(may(thumbprint(keys.evidence))).toEqual([true, true, true, false, false]);
    expect(may(thumbprint(second))).toEqual([false, false, false, true, true]);
    for (const purpose of ["checkpoint", "recovery", "lease"] as const)
      expect(may(thumbprint(keys[purpose]))).toEqual([false, false, false, false, false]);
    expect(history.current("evidence").kid).toBe(thumbprint(second));
    expect(history.all().find(({ kid }) => kid === thumbprint(keys.evidence))).toMatchObject({
      validFromSeq: 0,
      validToSeq: 10,
    });
  });

  test("one key never serves two purposes, nor comes back after it was retired", () => {
    const keys = opening();
    expect(KeyHistory.open({ ...keys, checkpoint: keys.evidence })).toBeNull();
    expect(KeyHistory.open({ ...keys, recovery: keys.checkpoint })).toBeNull();
    const history = open(keys);
    expect(history.rotate("evidence", keys.checkpoint, 1)).toBe(false);
    expect(history.rotate("evidence", ed25519(), 1)).toBe(true);
    expect(history.rotate("evidence", keys.evidence, 2)).toBe(false);
  });

  test("a key of the wrong type or of small order is not admitted", () => {
    const identity = { kty: "OKP", crv: "Ed25519", x: `AQ${"A".repeat(41)}` } as const;
    expect(KeyHistory.open({ ...opening(), evidence: identity })).toBeNull();
    const history = open();
    expect(history.rotate("evidence", identity, 1)).toBe(false);
    expect(history.rotate("evidence", p256(), 1)).toBe(false);
    expect(history.rotate("lease", ed25519(), 1)).toBe(false);
    expect(history.current("evidence").validToSeq).toBeNull();
  });

  test("a possession names log, position and key", () => {
    const log = "018bcfe5-6800-7000-8000-000000000000";
    const message = (...args: Parameters<typeof possessionMessage>) => possessionMessage(...args).toString();
    const kid = "A".repeat(43);
    expect(message(log, 12, kid)).toBe(`latchgate-key-possession-v1${log}12${kid}`);
    expect(
      new Set([message(log, 1, kid), message(log, 12, kid), message(log.replace("0", "1"), 1, kid)]).size,
    ).toBe(3);
  });
});

describe("reading beside the writer", () => {
  let log: ScratchLog;
  let reader: LedgerReader;
  beforeAll(async () => {
    log = scratchLog();
    await log.writer.run([task("stop", "a"), task("stop", "b"), task("stop", "c"), task("stop", "d")]);
    reader = new LedgerReader(log.ledger, log.payloads);
  });
  afterAll(() => {
    reader.close();
    log.abandon();
    log.remove();
  });
  const change = (sql: string, ...values: (string | number)[]) =>
    withDatabase(log.ledger, (db) => db.query(sql).run(...values));

  test("every entry is judged as it is read, by the entry alone", () => {
    expect(reader.entry(1)).toMatchObject({ seq: 1, status: "valid", payload: { reason: "a" } });
    expect(reader.entry(99)).toBeNull();
    expect(reader.trusted(1, "gate.stopped").reason).toBe("a");
    expect(() => reader.trusted(1, "call.receipt")).toThrow("not a validly signed call.receipt");
    const { jws } = readRows(log.ledger)[2] ?? { jws: "" };
    const [head = "", body = "", signature = ""] = jws.split(".");
    const text = Buffer.from(body, "base64url").toString().replace('"reason":"b"', '"reason":"x"');
    change(
      "UPDATE entries SET jws = ? WHERE seq = 2",
      `${head}.${Buffer.from(text).toString("base64url")}.${signature}`,
    );
    expect(reader.entry(2)).toMatchObject({ status: "invalid", payload: { reason: "x" } });
    expect(() => reader.trusted(2, "gate.stopped")).toThrow("not a validly signed");
    const stranger = Buffer.from(head, "base64url")
      .toString()
      .replace(/"kid":"[^"]+"/, `"kid":"${"A".repeat(43)}"`);
    change(
      "UPDATE entries SET jws = ? WHERE seq = 2",
      `${Buffer.from(stranger).toString("base64url")}.${body}.${signature}`,
    );
    expect(reader.entry(2)?.status).toBe("unknown_key_id");
    change("UPDATE entries SET jws = ? WHERE seq = 2", "no.jws.here");
    expect(() => reader.entry(2)).toThrow("cannot be read");
    change("UPDATE entries SET jws = ? WHERE seq = 2", jws);
    expect(reader.entry(2)?.status).toBe("valid");
    // An entry that stands in the place of another is not read as that other.
    change("UPDATE entries SET jws = (SELECT jws FROM entries WHERE seq = 1) WHERE seq = 2");
    expect(() => reader.entry(2)).toThrow("cannot be read");
    change("UPDATE entries SET jws = ? WHERE seq = 2", jws);
  });

  test("a rotated key is known after the reader looked again, and old entries stay valid", async () => {
    await log.writer.run([task("rotate", "evidence"), task("stop", "e")]);
    expect(reader.entry(6)?.status).toBe("unknown_key_id");
    reader.refreshKeys();
    expect(reader.entry(6)?.status).toBe("valid");
    expect(reader.entry(1)?.status).toBe("valid");
    const { keys } = exportKeys(reader.keys());
    expect(keys).toHaveLength(5);
    expect(keys.filter((key) => key["latchgate:purpose"] === "evidence")).toMatchObject([
      {
        kty: "OKP",
        crv: "Ed25519",
        use: "sig",
        alg: "EdDSA",
        "latchgate:valid_from_seq": 0,
        "latchgate:valid_to_seq": 5,
      },
      { "latchgate:valid_from_seq": 6, "latchgate:valid_to_seq": null },
    ]);
    for (const key of keys) expect(Object.keys(key)).not.toContain("d");
  });

  test("events come newest first, or in order after a given one, by the columns asked for", () => {
    const reasons = (entries: readonly { payload: object }[]) =>
      entries.map(({ payload }) => ("reason" in payload ? payload.reason : null));
    expect(reasons(reader.events({ types: ["gate.stopped"], limit: 2 }))).toEqual(["e", "d"]);
    expect(reasons(reader.events({ types: ["gate.stopped"], afterSeq: 2, limit: 9 }))).toEqual([
      "c",
      "d",
      "e",
    ]);
    expect(reader.events({ principal: "x' OR 1=1 --", limit: 9 })).toEqual([]);
    expect(payloadOf(readRows(log.ledger)[1] ?? { jws: "" }).reason).toBe("a");
  });
});
