/** What the verifier makes of anchored checkpoints, and of the tables beside the log's tree. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { recordCosignature } from "../../src/gate/acts/anchor.ts";
import { cosignedBy, readVkey } from "../../src/ledger/anchor/cosignature.ts";
import { checkpointOrigin } from "../../src/ledger/checkpoint.ts";
import type { EntryBody } from "../../src/ledger/entry/types.ts";
import { Keyring } from "../../src/ledger/keyring.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../../src/ledger/store/database.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { type LedgerTransaction, LedgerWriter } from "../../src/ledger/writer.ts";
import { payloadOf, readRows, rewriteRows, withDatabase, writeNodes } from "./forge.ts";
import { WitnessIdentity } from "./witness-server.ts";

type Anchored = EntryBody<"checkpoint.anchored">;

let dir: string;
let origin: string;
const [one, two] = [new WitnessIdentity("w/1"), new WitnessIdentity("w/2")];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-anchored-"));
  const writer = new LedgerWriter({
    db: openLedgerDatabase(join(dir, "ledger.db"), []),
    payloads: openPayloadDatabase(join(dir, "payloads.db")),
    keyring: new Keyring(join(dir, "keys")),
    acts: {
      recordCosignature,
      stop: (tx: LedgerTransaction, reason: string) => tx.append("gate.stopped", { reason }),
    },
    now: () => 1_700_000_000_000,
    gateVersion: "test",
  });
  origin = checkpointOrigin(writer.logId);
  const stop = { act: "stop", input: "x", payloads: [] };
  await writer.run([stop, stop, stop, stop]);
  const text = writer.checkpoint().split("\n\n")[0]?.concat("\n") ?? "";
  const vkeys = [one.vkey, two.vkey];
  const record = (line: string) => ({
    act: "recordCosignature",
    input: { size: 5, line: line.trimEnd(), vkeys, authorities: [], quorum: 2 },
    payloads: [],
  });
  const stranger = new WitnessIdentity("w/1");
  const outcomes = [];
  for (const line of [
    stranger.cosign(text),
    one.cosign(text),
    one.cosign(text),
    two.cosign(text),
    two.cosign(text),
  ])
    outcomes.push(...(await writer.run([record(line)])));
  expect(outcomes).toEqual(["unverified", "recorded", "recorded", "anchored", "recorded"]);
  writer.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const witnesses = (...vkeys: readonly string[]) => vkeys.flatMap((vkey) => readVkey(vkey) ?? []);

function verdict(path: string, ...vkeys: readonly string[]) {
  return verifyLedgerFile(path, {
    trust: { fingerprints: new Set() },
    strict: true,
    parties: { witnesses: witnesses(...vkeys), authorities: [] },
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
function forged(change: (body: Anchored & Record<string, unknown>) => unknown): string {
  return copyOf((path) => {
    const rows = rewriteRows(readRows(path), {
      keys: join(dir, "keys"),
      edit: (text) => {
        const payload = JSON.parse(text);
        if (payload.type !== "checkpoint.anchored") return text;
        change(payload);
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

test("it is anchored as far as every witness that the auditor names has cosigned", () => {
  const path = join(dir, "ledger.db");
  expect(verdict(path)).toMatchObject({ verdict: "consistent", anchored_to: null });
  expect(verdict(path, one.vkey)).toMatchObject({ verdict: "consistent", anchored_to: 5 });
  expect(verdict(path, one.vkey, two.vkey)).toMatchObject({ anchored_to: 5 });
  const stranger = new WitnessIdentity("w/1");
  expect(verdict(path, one.vkey, stranger.vkey)).toMatchObject({ verdict: "consistent", anchored_to: null });
});

test("a forger of nothing is no forger: signed anew as it was, it stands", () => {
  expect(
    verdict(
      forged(() => undefined),
      one.vkey,
    ),
  ).toMatchObject({ verdict: "consistent", anchored_to: 5 });
});

test("found: an anchor for another root", () => {
  const path = forged((body) => Object.assign(body, { root: "0".repeat(64), cosignatures: [] }));
  expect(verdict(path)).toMatchObject({ exit_code: 10, first_damage: { kind: "checkpoint" } });
});

test("found: a cosignature of another checkpoint, or of nobody", () => {
  for (const change of [{ timestamp: 1 }, { signature: "A".repeat(86) }]) {
    const path = forged((body) => Object.assign(body.cosignatures[0] ?? {}, change));
    expect(verdict(path, one.vkey)).toMatchObject({ exit_code: 11, anchored_to: null });
  }
});

test("found: fewer cosignatures than the quorum, or one twice", () => {
  const fewer = forged((body) => Object.assign(body, { cosignatures: body.cosignatures.slice(1) }));
  const twice = forged((body) =>
    Object.assign(body, { cosignatures: [body.cosignatures[0], body.cosignatures[0]] }),
  );
  const twiceForOne = forged((body) =>
    Object.assign(body, { quorum: 1, cosignatures: [body.cosignatures[0], body.cosignatures[0]] }),
  );
  for (const path of [fewer, twice, twiceForOne]) expect(verdict(path).first_damage?.kind).toBe("rules");
});

test("a cosignature counts for nobody under a key that another entry names", () => {
  const entry = readRows(join(dir, "ledger.db"))
    .map(payloadOf)
    .find(({ type }) => type === "checkpoint.anchored") as unknown as Anchored;
  const [kept] = entry.cosignatures;
  if (kept === undefined) throw new Error("nothing was anchored");
  const renamed = { ...entry, cosignatures: [{ ...kept, public_key: "B".repeat(43) }] };
  expect(cosignedBy(origin, entry, witnesses(one.vkey, two.vkey))).toHaveLength(2);
  expect(cosignedBy(origin, renamed, witnesses(one.vkey, two.vkey))).toEqual([]);
  expect(cosignedBy("latchgate/other", entry, witnesses(one.vkey, two.vkey))).toEqual([]);
});

test.each([
  ["a changed node of the tree", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 0"],
  ["a node that no entry leads to", "INSERT INTO nodes VALUES (1, 99, zeroblob(32))"],
  ["a changed line", "UPDATE cosignatures SET line = replace(line, '— ', '— x')"],
  ["a changed time", "UPDATE cosignatures SET timestamp = timestamp + 1"],
  ["a changed witness", "UPDATE cosignatures SET witness = 'w/3'"],
  ["a cosignature of no checkpoint", "UPDATE cosignatures SET size = 4"],
])("found by verify: %s", (_, sql) => {
  const path = copyOf((copy) => withDatabase(copy, (db) => db.run(sql)));
  expect(verdict(path)).toMatchObject({ exit_code: 13, first_damage: { kind: "side_table" } });
});
