/** What `--since` takes on a checkpoint's word, and what it does not: somebody else wrote the file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, cpSync } from "node:fs";
import { join } from "node:path";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { signRevocation } from "../../src/keys/revocation-statement.ts";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { PreparedRevocation } from "../../src/ledger/revoker.ts";
import { CompactTree } from "../../src/ledger/tree.ts";
import { TreeStore } from "../../src/ledger/tree-store.ts";
import { readAnchor } from "../../src/ledger/verify/anchors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { TrustedPrefix } from "../../src/ledger/verify/trusted-prefix.ts";
import { leafOf, payloadText, readRows, rewrite, withDatabase, writeNodes } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const ENTRIES = 300;
/** 128 + 64 + 8: its right edge is three nodes. */
const SINCE = 200;
let log: ScratchLog;
beforeAll(async () => {
  log = scratchLog();
  const stops = (n: number) => Array.from({ length: n }, () => task("stop"));
  await log.writer.run(stops(SINCE - 2));
  // Who copied a key before it was retired still has it.
  const stolen = join(log.dir, "stolen");
  cpSync(log.keys, stolen, { recursive: true });
  await log.writer.run([task("rotate", "evidence")]);
  await log.writer.run(stops(ENTRIES - SINCE));
  log.writer.close();
  cpSync(stolen, log.keys, { recursive: true, force: false });
});
afterAll(() => log.remove());

const rootAt = (size: number): Buffer => {
  const tree = new CompactTree();
  for (const { jws } of readRows(log.ledger).slice(0, size)) tree.push(leafOf(jws));
  return tree.root();
};
const anchorAt = (size: number) => readAnchor(`${size} ${rootAt(size).toString("hex")}`);

function since(
  change: string | ((path: string) => unknown) = () => undefined,
  others: readonly number[] = [],
) {
  const copy = join(log.dir, "copy.db");
  copyFileSync(log.ledger, copy);
  if (typeof change === "string") withDatabase(copy, (db) => db.run(change));
  else change(copy);
  const anchor = anchorAt(SINCE);
  const anchors = [anchor, ...others.map(anchorAt)];
  return verifyLedgerFile(copy, { trust: readTrust(undefined), strict: true, anchors, since: anchor });
}

test("what leads to the checkpoint's root is enough to go on from it", () => {
  expect(since()).toMatchObject({
    verdict: "consistent",
    since: SINCE,
    entries: ENTRIES,
    root: rootAt(ENTRIES).toString("hex"),
    anchored_to: SINCE,
    damage: {},
  });
});

test("other anchors are held against roots that are proved to lie under the trusted one", () => {
  for (const size of [1, 2, 63, 64, 127, 128, 150, 199, SINCE, 250, ENTRIES])
    expect(since(undefined, [size])).toMatchObject({ damage: {}, anchored_to: Math.max(SINCE, size) });
  const copy = join(log.dir, "copy.db");
  copyFileSync(log.ledger, copy);
  const anchor = anchorAt(SINCE);
  const wrong = readAnchor(`150 ${rootAt(149).toString("hex")}`);
  const report = verifyLedgerFile(copy, {
    trust: readTrust(undefined),
    strict: true,
    anchors: [anchor, wrong],
    since: anchor,
  });
  expect(report).toMatchObject({ since: SINCE, exit_code: 12 });
});

describe("what does not lead to the root takes nothing on its word: all is checked, and named", () => {
  const everything = { since: null, entries: ENTRIES, exit_code: 13 };
  test.each([
    ["a changed node of the right edge", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 7 AND idx = 0"],
    ["a node of it as a text", "UPDATE nodes SET hash = 'x' WHERE level = 6 AND idx = 2"],
    [
      "a node on the way from an entry that is needed",
      "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 1",
    ],
    ["a leaf on that way", "UPDATE entries SET hash = zeroblob(32) WHERE seq = 1"],
  ])("%s", (_, sql) => {
    expect(since(sql)).toMatchObject(everything);
  });

  test("the one node that all of them are under, where there is but one", () => {
    // No other proof leads over it: nothing else would show that it was changed.
    const copy = join(log.dir, "copy.db");
    copyFileSync(log.ledger, copy);
    const anchor = anchorAt(256);
    const options = { trust: readTrust(undefined), strict: true, anchors: [anchor], since: anchor };
    expect(verifyLedgerFile(copy, options)).toMatchObject({ since: 256, exit_code: 0 });
    withDatabase(copy, (db) => db.run("UPDATE nodes SET hash = zeroblob(32) WHERE level = 8 AND idx = 0"));
    expect(verifyLedgerFile(copy, options)).toMatchObject(everything);
  });

  test("a node that is gone is no damage", () => {
    expect(since("DELETE FROM nodes WHERE level = 7 AND idx = 0")).toMatchObject({
      since: null,
      exit_code: 0,
    });
    expect(since("DROP TABLE nodes")).toMatchObject({ since: null, exit_code: 0 });
  });

  test("the text of an entry that is needed, its stored hash and the tree as they were", () => {
    const report = since((path) => {
      const [opening] = readRows(path);
      const [header, , signature] = opening?.jws.split(".") ?? [];
      const text = payloadText(opening?.jws ?? "").replace('"gate_version":"test"', '"gate_version":"best"');
      const jws = [header, Buffer.from(text).toString("base64url"), signature].join(".");
      withDatabase(path, (db) => db.query("UPDATE entries SET jws = ? WHERE seq = 0").run(jws));
    });
    expect(report).toMatchObject({ since: null, first_damage: { kind: "signature", seq: 0 } });
  });

  test("nodes that lead to an anchor of another history: it is not taken for one of this", () => {
    const copy = join(log.dir, "copy.db");
    copyFileSync(log.ledger, copy);
    // 150 = 128 + 16 + 4 + 2: the last of these.
    const forged = withDatabase(copy, (db) => {
      db.run("UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 74");
      return new TreeStore(db).root(150);
    });
    const anchor = anchorAt(SINCE);
    const anchors = [anchor, readAnchor(`150 ${forged.toString("hex")}`)];
    const report = verifyLedgerFile(copy, {
      trust: readTrust(undefined),
      strict: true,
      anchors,
      since: anchor,
    });
    expect(report).toMatchObject({ since: SINCE, exit_code: 12 });
  });

  test("an entry that was put in the place of the rotation, tree and all", () => {
    const report = since((path) =>
      withDatabase(path, (db) => {
        const [other] = readRows(path).slice(20);
        db.query("UPDATE entries SET jws = ?, hash = ? WHERE seq = ?").run(
          other?.jws ?? "",
          leafOf(other?.jws ?? ""),
          SINCE - 1,
        );
        writeNodes(
          db,
          readRows(path).map(({ hash }) => hash),
        );
      }),
    );
    expect(report).toMatchObject({ since: null, exit_code: 10 });
    expect(report.damage.anchor).toBe(1);
  });

  test("a tree of other entries under the checkpoint's size", () => {
    const report = since((path) =>
      withDatabase(path, (db) =>
        writeNodes(
          db,
          readRows(path)
            .map(({ hash }) => hash)
            .reverse(),
        ),
      ),
    );
    expect(report).toMatchObject(everything);
  });

  test("entries that are gone from before the end of the trusted ones", () => {
    expect(since(`DELETE FROM entries WHERE seq >= ${SINCE - 1}`)).toMatchObject({
      since: null,
      damage: { anchor: 1 },
    });
  });
});

describe("what the trusted root covers and is wrong in itself is not passed over", () => {
  /** The log written anew by who holds its keys, and verified since a checkpoint of that. */
  const rewritten = (edit: (text: string) => string, size = SINCE) => {
    const copy = join(log.dir, "copy.db");
    copyFileSync(log.ledger, copy);
    rewrite(copy, { keys: log.keys, edit });
    const tree = new CompactTree();
    for (const { jws } of readRows(copy).slice(0, size)) tree.push(leafOf(jws));
    const anchor = readAnchor(`${size} ${tree.root().toString("hex")}`);
    return verifyLedgerFile(copy, {
      trust: readTrust(undefined),
      strict: true,
      anchors: [anchor],
      since: anchor,
    });
  };

  test("signed again as it was, it is taken on the root's word", () => {
    expect(rewritten((text) => text)).toMatchObject({ since: SINCE, exit_code: 0 });
  });

  test("a rotation that the new key did not ask for", () => {
    const report = rewritten((text) =>
      text.replace(/"possession":".{86}"/, `"possession":"${"A".repeat(86)}"`),
    );
    expect(report).toMatchObject({ since: null, first_damage: { kind: "key", seq: SINCE - 1 } });
  });

  test("a rotation in no form that one has", () => {
    const form = (text: string) => text.replace(/^\{(.*"type":"key.rotated".*)\}$/, '{$1,"z":1}');
    // Also where it is not the last one that the root covers.
    for (const size of [SINCE, SINCE + 1])
      expect(rewritten(form, size)).toMatchObject({
        since: null,
        first_damage: { kind: "entry", seq: SINCE - 1 },
      });
  });
});

test("after a revocation of a key nothing is taken on anybody's word", async () => {
  const revoked = scratchLog();
  await revoked.writer.run([task("stop")]);
  const kid = revoked.writer.keys.current("checkpoint").kid;
  const noted = parseCheckpoint(revoked.writer.checkpoint())?.checkpoint;
  const at = { size: noted?.size ?? 0, root: noted?.root.toString("hex") ?? "" };
  const [prepared] = await revoked.writer.run([task("prepareRevocation", { kid, ...at })]);
  const recovery = join(revoked.keys, `recovery-${revoked.writer.keys.current("recovery").kid}.pem`);
  const claims = { ...(prepared as PreparedRevocation), kid, ...at, time: "2026-01-01T00:00:00.000Z" };
  await revoked.writer.run([task("revoke", signRevocation(claims, readKeyFile(recovery, "ed25519")))]);
  await revoked.writer.run([task("stop")]);
  const since = readAnchor(revoked.writer.checkpoint());
  await revoked.writer.run([task("stop")]);
  revoked.writer.close();
  const options = { trust: readTrust(undefined), strict: false, anchors: [since] };
  const report = verifyLedgerFile(revoked.ledger, { ...options, since });
  expect(report).toMatchObject({ exit_code: 0, since: null, anchored_to: since.size });
  expect(report).toEqual(verifyLedgerFile(revoked.ledger, options));
  revoked.remove();
});

describe("what is not promised: an old entry that nothing leads to is not looked at", () => {
  test.each([
    ["its text", "UPDATE entries SET jws = 'gone' WHERE seq = 100"],
    ["its stored hash", "UPDATE entries SET hash = zeroblob(32) WHERE seq = 100"],
    ["the entry", "DELETE FROM entries WHERE seq = 100"],
    ["a node beside the way", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 50"],
  ])("%s", (_, sql) => {
    expect(since(sql)).toMatchObject({ verdict: "consistent", since: SINCE, exit_code: 0 });
    const copy = join(log.dir, "copy.db");
    expect(verifyLedgerFile(copy, { trust: readTrust(undefined), strict: true }).exit_code).toBeGreaterThan(
      0,
    );
  });
});

describe("what is new is checked, and what stands beside it", () => {
  test.each([
    ["a node over new entries", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 120", 13],
    ["a node over old and new ones", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 8 AND idx = 0", 13],
    ["a node that no entry leads to", "INSERT INTO nodes VALUES (2, 90, zeroblob(32))", 13],
    ["a column", "UPDATE entries SET principal = 'uid:1' WHERE seq = 201", 13],
    ["an entry that is gone", "DELETE FROM entries WHERE seq = 250", 10],
    ["a checkpoint", "UPDATE checkpoints SET root = zeroblob(32)", 10],
    ["a row of no grant", "INSERT INTO grants VALUES ('g', 220, NULL, 's', 'p', NULL, NULL)", 13],
  ])("%s", (_, sql, exit) => {
    expect(since(sql)).toMatchObject({ since: SINCE, exit_code: exit });
  });

  test("payloads that were pruned before are nothing new", () => {
    expect(since("INSERT INTO pruned VALUES ('c', 100)")).toMatchObject({ since: SINCE, exit_code: 0 });
    expect(since("INSERT INTO pruned VALUES ('c', 250)")).toMatchObject({ since: SINCE, exit_code: 13 });
  });
});

test("how much is read does not depend on how long the log was", () => {
  withDatabase(log.ledger, (db) => {
    let reads = 0;
    const query = db.query.bind(db);
    const counted = new Proxy(db, {
      get: (target, name) => {
        if (name !== "query") return Reflect.get(target, name);
        return (sql: string) => {
          const statement = query(sql);
          const get = statement.get.bind(statement);
          return Object.assign(Object.create(statement), {
            get: (...values: never[]) => {
              reads++;
              return get(...values);
            },
          });
        };
      },
    });
    for (const size of [64, 65, SINCE, 255, ENTRIES - 1]) {
      const prefix = new TrustedPrefix(counted, { size, root: rootAt(size) });
      reads = 0;
      expect(prefix.tree()?.root()).toEqual(rootAt(size));
      expect(reads).toBeLessThanOrEqual(1 + Math.log2(size));
      reads = 0;
      expect(prefix.holds(3, readRows(log.ledger)[3]?.jws ?? "")).toBe(true);
      expect(prefix.holds(3, readRows(log.ledger)[4]?.jws ?? "")).toBe(false);
      expect(reads).toBeLessThanOrEqual(2 * 2 * (1 + Math.log2(size)));
    }
  });
});
