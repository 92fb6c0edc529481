/** What the writer and the verifier make of time stamps: whoever holds the evidence key writes what he likes. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { recordCosignature, recordTimestamp } from "../../src/gate/acts/anchor.ts";
import { certificateDigest } from "../../src/ledger/anchor/timestamp/authority.ts";
import { readPem } from "../../src/ledger/anchor/timestamp/certificate.ts";
import { stampedBy } from "../../src/ledger/anchor/timestamp/stamped.ts";
import { readToken } from "../../src/ledger/anchor/timestamp/token.ts";
import { checkpointOrigin } from "../../src/ledger/checkpoint.ts";
import type { EntryBody } from "../../src/ledger/entry/types.ts";
import { Keyring } from "../../src/ledger/keyring.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../../src/ledger/store/database.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { type LedgerTransaction, LedgerWriter } from "../../src/ledger/writer.ts";
import { requireTool } from "../require-tool.ts";
import { payloadOf, readRows, rewriteRows, withDatabase, writeNodes } from "./forge.ts";
import { TestAuthority } from "./timestamp-server.ts";
import { WitnessIdentity } from "./witness-server.ts";

const test = requireTool("openssl", "apt-get install openssl");
type Anchored = EntryBody<"checkpoint.anchored">;
type Signed = Anchored["cosignatures"][number];

let dir: string;
let origin: string;
let text: string;
let one: TestAuthority;
let two: TestAuthority;
let twin: TestAuthority;
const witness = new WitnessIdentity("w/1");
const outcomes: unknown[] = [];

beforeAll(async () => {
  if (Bun.which("openssl") === null) return;
  dir = mkdtempSync(join(tmpdir(), "latchgate-stamped-"));
  [one, two, twin] = [new TestAuthority(), new TestAuthority({ key: "rsa" }), new TestAuthority()];
  const writer = new LedgerWriter({
    db: openLedgerDatabase(join(dir, "ledger.db"), []),
    payloads: openPayloadDatabase(join(dir, "payloads.db")),
    keyring: new Keyring(join(dir, "keys")),
    acts: {
      recordCosignature,
      recordTimestamp,
      stop: (tx: LedgerTransaction, reason: string) => tx.append("gate.stopped", { reason }),
    },
    now: Date.now,
    gateVersion: "test",
  });
  origin = checkpointOrigin(writer.logId);
  const stop = { act: "stop", input: "x", payloads: [] };
  await writer.run([stop, stop, stop, stop]);
  text = writer.checkpoint().split("\n\n")[0]?.concat("\n") ?? "";
  const quorum = {
    size: 5,
    vkeys: [witness.vkey],
    authorities: [
      { name: "one", pem: one.root, policy: null },
      { name: "two", pem: two.root, policy: null },
      { name: "strict", pem: one.root, policy: "1.2.3.9" },
    ],
    quorum: 3,
  };
  const stamp = (authority: string, token: Buffer, nonce = 9n) => ({
    act: "recordTimestamp",
    input: { ...quorum, authority, token: token.toString("base64url"), nonce: nonce.toString() },
    payloads: [],
  });
  const good = one.forge({ text, nonce: 9n });
  for (const act of [
    stamp("one", twin.forge({ text, nonce: 9n })),
    stamp("two", good),
    stamp("nobody", good),
    stamp("one", good, 8n),
    stamp("one", one.forge({ text: `${text}x`, nonce: 9n })),
    stamp("strict", good),
    stamp("one", good),
    stamp("one", one.forge({ text, nonce: 9n })),
    { act: "recordCosignature", input: { ...quorum, line: witness.cosign(text).trimEnd() }, payloads: [] },
    stamp("two", two.forge({ text, nonce: 9n })),
    stamp("two", two.forge({ text, nonce: 9n })),
  ])
    outcomes.push(...(await writer.run([act])));
  writer.close();
});
afterAll(() => {
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
  for (const authority of [one, two, twin]) authority?.[Symbol.dispose]();
});

test("the writer believes nobody: each stamp is verified again, and counts once", () => {
  expect(outcomes).toEqual([
    ...Array(6).fill("unverified"),
    ...["recorded", "recorded", "recorded", "anchored", "recorded"],
  ]);
});

const authorityOf = (pem: string) => ({ name: "x", trusted: readPem(pem), policy: null });

function verdict(path: string, ...pems: readonly string[]) {
  return verifyLedgerFile(path, {
    trust: { fingerprints: new Set() },
    strict: true,
    parties: { witnesses: [], authorities: pems.map(authorityOf) },
  });
}

let copies = 0;
function copyOf(change: (path: string) => void): string {
  const path = join(dir, `copy${copies++}.db`);
  withDatabase(join(dir, "ledger.db"), (db) => db.run(`VACUUM INTO '${path}'`));
  change(path);
  return path;
}

/** The anchor entry changed and the log signed anew by its own key, as who holds that key could do. */
function forged(change: (stamps: Signed[], body: Anchored & Record<string, unknown>) => unknown): string {
  return copyOf((path) => {
    const rows = rewriteRows(readRows(path), {
      keys: join(dir, "keys"),
      edit: (entry) => {
        const payload = JSON.parse(entry);
        if (payload.type !== "checkpoint.anchored") return entry;
        const stamps = payload.cosignatures.filter((one: Signed) => "token" in one);
        change(stamps, payload);
        return canonicalJson(payload);
      },
    });
    withDatabase(path, (db) => {
      // The checkpoint at the end covers the entry; that of the anchor stays.
      db.run("DELETE FROM checkpoints WHERE size > 5");
      for (const { seq, jws, hash } of rows)
        db.query("UPDATE entries SET jws = ?, hash = ? WHERE seq = ?").run(jws, hash, seq);
      writeNodes(
        db,
        rows.map(({ hash }) => hash),
      );
    });
  });
}

test("it is anchored as far as every authority that the auditor names has stamped", () => {
  const path = join(dir, "ledger.db");
  expect(verdict(path)).toMatchObject({ verdict: "consistent", anchored_to: null, timestamps: [] });
  expect(verdict(path, one.root)).toMatchObject({
    verdict: "consistent",
    anchored_to: 5,
    timestamps: [{ size: 5, by: "Test Stamper" }],
  });
  expect(verdict(path, one.root, two.root)).toMatchObject({ anchored_to: 5 });
  expect(verdict(path, two.signer)).toMatchObject({ anchored_to: 5 });
  expect(verdict(path, one.root, twin.root)).toMatchObject({ verdict: "consistent", anchored_to: null });
});

test("a forger of nothing is no forger: signed anew as it was, it stands", () => {
  const path = forged(() => undefined);
  expect(verdict(path, one.root, two.root)).toMatchObject({ verdict: "consistent", anchored_to: 5 });
});

test("a stamp by somebody else, under the authority's name, is sound and nobody's", () => {
  const token = twin.forge({ text });
  const path = forged(([stamp]) => {
    const { certificate, time } = described(token);
    Object.assign(stamp ?? {}, { token: token.toString("base64url"), certificate, time });
  });
  expect(verdict(path, one.root)).toMatchObject({ verdict: "consistent", anchored_to: null });
  expect(verdict(path, twin.root)).toMatchObject({ anchored_to: 5 });
});

test("found: a stamp of another text, of nobody, of another time or certificate than it says", () => {
  const other = one.forge({ text: `${text}x` });
  for (const change of [
    { token: other.toString("base64url"), ...described(other) },
    { token: "" },
    { token: "MAA" },
    { token: "not base64url" },
    { time: "2026-01-01T00:00:00.000Z" },
    { certificate: `sha256:${"0".repeat(64)}` },
  ]) {
    const path = forged(([stamp]) => Object.assign(stamp ?? {}, change));
    expect(verdict(path, one.root)).toMatchObject({
      exit_code: 11,
      anchored_to: null,
      first_damage: { kind: "signature", detail: "a time stamp is not valid" },
    });
  }
});

test("found: fewer signatures than the quorum, or one twice", () => {
  const fewer = forged((_, body) => Object.assign(body, { cosignatures: body.cosignatures.slice(1) }));
  const twice = forged(([stamp], body) =>
    Object.assign(body, { cosignatures: [stamp, stamp, ...body.cosignatures.slice(2)] }),
  );
  for (const path of [fewer, twice]) expect(verdict(path).first_damage?.kind).toBe("rules");
});

test("an entry's stamps count for configured authorities alone", () => {
  const entry = readRows(join(dir, "ledger.db"))
    .map(payloadOf)
    .find(({ type }) => type === "checkpoint.anchored") as unknown as Anchored;
  expect(stampedBy(origin, entry, [authorityOf(one.root), authorityOf(two.root)])).toHaveLength(2);
  expect(stampedBy(origin, entry, [authorityOf(twin.root)])).toEqual([]);
  expect(stampedBy(origin, entry, [{ ...authorityOf(one.root), policy: "1.2.3.9" }])).toEqual([]);
  expect(stampedBy("latchgate/other", entry, [authorityOf(one.root)])).toEqual([]);
});

for (const [what, sql] of [
  ["a changed time", "UPDATE timestamps SET time_ms = time_ms + 1"],
  ["another certificate", "UPDATE timestamps SET certificate = 'sha256:0'"],
  ["a token that is none", "UPDATE timestamps SET token = zeroblob(8)"],
  ["a token that is a text", "UPDATE timestamps SET token = 'x'"],
  ["a stamp of no checkpoint", "UPDATE timestamps SET size = 4"],
] as const)
  test(`found by verify: ${what}`, () => {
    const path = copyOf((copy) => withDatabase(copy, (db) => db.run(sql)));
    expect(verdict(path)).toMatchObject({ exit_code: 13, first_damage: { kind: "side_table" } });
  });

/** What an entry says beside a token of the twin's or of the first authority's. */
function described(token: Buffer): { readonly certificate: string; readonly time: string } {
  const { signer, time } = readToken(token);
  return { certificate: certificateDigest(signer), time: new Date(time).toISOString() };
}
