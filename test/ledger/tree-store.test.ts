/** The stored tree: written with the entries, compared with them at start, filled for files that had none. */
import { afterEach, expect, test } from "bun:test";
import { LedgerError } from "../../src/ledger/errors.ts";
import { interiorNodes, TreeStore } from "../../src/ledger/tree-store.ts";
import { leafOf, readRows, withDatabase, writeNodes } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

async function logOf(entries: number): Promise<ScratchLog> {
  const log = scratchLog();
  logs.push(log);
  for (let size = 1; size < entries; size += 7)
    await log.writer.run(Array.from({ length: Math.min(7, entries - size) }, () => task("stop")));
  return log;
}

interface NodeRow {
  readonly level: number;
  readonly idx: number;
  readonly hash: Uint8Array;
}

const readNodes = (path: string): NodeRow[] =>
  withDatabase(path, (db) => db.query<NodeRow, []>("SELECT * FROM nodes ORDER BY level, idx").all());

function opens(dir: string): string {
  try {
    scratchLog(dir).abandon();
    return "opened";
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return `${(error as LedgerError).code}: ${(error as LedgerError).message}`;
  }
}

test("the nodes are those of the definition, at every size", async () => {
  for (const size of [1, 2, 3, 8, 21, 64, 65]) {
    const log = await logOf(size);
    const stored = readNodes(log.ledger);
    expect(stored).toHaveLength(interiorNodes(size));
    withDatabase(log.ledger, (db) =>
      writeNodes(
        db,
        readRows(log.ledger).map(({ jws }) => leafOf(jws)),
      ),
    );
    expect(readNodes(log.ledger)).toEqual(stored);
    log.abandon();
  }
});

test("the root of any earlier size can be had from them", async () => {
  const log = await logOf(40);
  const first = JSON.stringify(log.writer.checkpoint());
  const store = new TreeStore(log.db);
  const row = log.db
    .query<{ size: number; root: Uint8Array }, []>("SELECT size, root FROM checkpoints")
    .get();
  await log.writer.run([task("stop"), task("stop")]);
  expect(store.root(row?.size ?? 0)).toEqual(Buffer.from(row?.root ?? ""));
  expect(first).toContain(store.root(40).toString("base64"));
  log.abandon();
});

test.each([
  ["a changed node", "UPDATE nodes SET hash = zeroblob(32) WHERE level = 2 AND idx = 1"],
  ["a node that is a text", "UPDATE nodes SET hash = 'x' WHERE level = 1 AND idx = 0"],
  ["a missing node", "DELETE FROM nodes WHERE level = 3 AND idx = 0"],
  ["no nodes at all", "DELETE FROM nodes"],
  ["a node that no entry leads to", "INSERT INTO nodes VALUES (1, 1000, zeroblob(32))"],
  ["a node below the first level", "INSERT INTO nodes VALUES (0, 0, zeroblob(32))"],
  ["nodes that have changed places", "UPDATE nodes SET idx = 1000 - idx WHERE level = 1"],
])("refused at start: %s", async (_, sql) => {
  const log = await logOf(20);
  log.abandon();
  withDatabase(log.ledger, (db) => db.run(sql));
  expect(opens(log.dir)).toMatch(/^ledger_damaged: .*node/);
});

test("a file of the schema before gets its nodes when it is opened, and goes on", async () => {
  const log = await logOf(30);
  log.abandon();
  const before = readNodes(log.ledger);
  withDatabase(log.ledger, (db) => {
    db.run("DROP TABLE nodes");
    db.run("UPDATE meta SET value = '1' WHERE name = 'schema'");
  });
  const again = scratchLog(log.dir);
  expect(readNodes(log.ledger)).toEqual(before);
  await again.writer.run([task("stop")]);
  again.reopen().abandon();
});

test("nodes that somebody put into a file of the schema before are not taken over", async () => {
  const log = await logOf(30);
  log.abandon();
  const before = readNodes(log.ledger);
  withDatabase(log.ledger, (db) => {
    db.run("UPDATE nodes SET hash = zeroblob(32)");
    db.run("UPDATE meta SET value = '1' WHERE name = 'schema'");
  });
  scratchLog(log.dir).abandon();
  expect(readNodes(log.ledger)).toEqual(before);
});

test("damage to an entry of a file of the schema before is still found", async () => {
  const log = await logOf(30);
  log.abandon();
  withDatabase(log.ledger, (db) => {
    db.run("UPDATE entries SET jws = jws || 'A' WHERE seq = 3");
    db.run("UPDATE meta SET value = '1' WHERE name = 'schema'");
  });
  expect(opens(log.dir)).toStartWith("ledger_damaged");
});

test("a group that fails leaves no nodes", async () => {
  const log = await logOf(9);
  const before = readNodes(log.ledger);
  await log.writer.run([task("stop"), task("stop"), task("fail")]).catch(() => undefined);
  expect(readNodes(log.ledger)).toEqual(before);
  log.abandon();
  expect(opens(log.dir)).toBe("opened");
});
