/** Keys that are retired, and keys that are revoked: what they may still say, and what is left of them on the disk. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { signRevocation } from "../../src/keys/revocation-statement.ts";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { PreparedRevocation, RevokedKey } from "../../src/ledger/revoker.ts";
import { judge, payloadOf, readCheckpoints, readRows, resign, rewriteRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});
function fresh(options: Parameters<typeof scratchLog>[1] = {}): ScratchLog {
  const log = scratchLog(undefined, options);
  logs.push(log);
  return log;
}

const kidInForce = (log: ScratchLog, purpose: "evidence" | "checkpoint" | "lease" | "recovery") =>
  log.writer.keys.current(purpose).kid;
const keyFiles = (log: ScratchLog) =>
  readdirSync(log.keys)
    .filter((name) => name.endsWith(".pem"))
    .sort();
const inForce = (log: ScratchLog) =>
  (["evidence", "checkpoint", "lease", "recovery"] as const)
    .map((purpose) => `${purpose}-${kidInForce(log, purpose)}.pem`)
    .sort();
const stop = async (log: ScratchLog, ...reasons: string[]) => {
  await log.writer.run(reasons.map((reason) => task("stop", reason)));
};

interface Mark {
  readonly size: number;
  readonly root: string;
}
function mark(log: ScratchLog): Mark {
  const parsed = parseCheckpoint(log.writer.checkpoint());
  if (parsed === null) throw new Error("no checkpoint");
  return { size: parsed.checkpoint.size, root: parsed.checkpoint.root.toString("hex") };
}

/** As the holder of the recovery key does it; `change` is what an attacker would have in its place. */
async function revoke(
  log: ScratchLog,
  kid: string,
  at: Mark,
  change: (claims: Parameters<typeof signRevocation>[0]) => Parameters<typeof signRevocation>[0] = (c) => c,
  signer: "recovery" | "evidence" = "recovery",
): Promise<RevokedKey | { refused: string }> {
  const [prepared] = (await log.writer.run([task("prepareRevocation", { kid, ...at })])) as [
    PreparedRevocation | { refused: string },
  ];
  if ("refused" in prepared) return prepared;
  const time = "2026-01-01T00:00:00.000Z";
  const claims = change({ ...prepared, kid, ...at, time });
  const key = readKeyFile(join(log.keys, `${signer}-${kidInForce(log, signer)}.pem`), "ed25519");
  const [revoked] = await log.writer.run([task("revoke", signRevocation(claims, key))]);
  return revoked as RevokedKey | { refused: string };
}

const report = (log: ScratchLog, trust: string, rows = readRows(log.ledger)) =>
  judge(rows, trust, readCheckpoints(log.ledger));

describe("the private half of a retired key", () => {
  test("is gone once the rotation is durable, for every purpose", async () => {
    const log = fresh();
    for (const purpose of ["evidence", "checkpoint", "lease"] as const) {
      const old = kidInForce(log, purpose);
      await log.writer.run([task("rotate", purpose)]);
      expect(existsSync(join(log.keys, `${purpose}-${old}.pem`))).toBe(false);
    }
    expect(keyFiles(log)).toEqual(inForce(log));
    expect(report(log, kidInForce(log, "evidence")).verdict).toBe("intact");
    log.abandon();
  });

  test("is destroyed at the next start when a crash kept it, and unknown files are left alone", async () => {
    const log = fresh();
    const old = kidInForce(log, "evidence");
    const path = join(log.keys, `evidence-${old}.pem`);
    const pem = await Bun.file(path).text();
    await log.writer.run([task("rotate", "evidence")]);
    log.abandon();
    await Bun.write(path, pem, { mode: 0o600 });
    const unknown = join(log.keys, `evidence-${"A".repeat(43)}.pem`);
    await Bun.write(unknown, pem, { mode: 0o600 });
    const again = scratchLog(log.dir);
    expect(existsSync(path)).toBe(false);
    expect(existsSync(unknown)).toBe(true);
    again.abandon();
  });

  test("that cannot be destroyed stops the writer; a link in its place costs nothing else", async () => {
    const log = fresh();
    const old = join(log.keys, `lease-${kidInForce(log, "lease")}.pem`);
    await log.writer.run([task("stop")]);
    await Bun.file(old).delete();
    symlinkSync(log.ledger, old);
    expect(log.writer.run([task("rotate", "lease")])).rejects.toThrow("cannot destroy the retired key");
    expect(readRows(log.ledger)).toHaveLength(3);
    log.abandon();
  });
});

describe("a replaced checkpoint key", () => {
  test("signs beside the new one for its time, and is destroyed then", async () => {
    const log = fresh({ checkpointOverlapMs: 1000 });
    const old = kidInForce(log, "checkpoint");
    await log.writer.run([task("rotate", "checkpoint")]);
    const note = log.writer.checkpoint();
    expect(parseCheckpoint(note)?.signatures).toHaveLength(2);
    expect(report(log, kidInForce(log, "evidence"))).toMatchObject({ verdict: "intact", checkpoints: 1 });
    expect(existsSync(join(log.keys, `checkpoint-${old}.pem`))).toBe(true);
    log.advance(2000);
    await stop(log, "later");
    expect(parseCheckpoint(log.writer.checkpoint())?.signatures).toHaveLength(1);
    expect(existsSync(join(log.keys, `checkpoint-${old}.pem`))).toBe(false);
    log.abandon();
  });

  test("that was revoked signs nothing more, whatever the overlap", async () => {
    const log = fresh({ checkpointOverlapMs: 1_000_000 });
    await stop(log, "a");
    const at = mark(log);
    const old = kidInForce(log, "checkpoint");
    await stop(log, "b");
    mark(log);
    expect(await revoke(log, old, at)).toMatchObject({ purpose: "checkpoint" });
    expect(existsSync(join(log.keys, `checkpoint-${old}.pem`))).toBe(false);
    expect(parseCheckpoint(log.writer.checkpoint())?.signatures).toHaveLength(1);
    expect(report(log, kidInForce(log, "evidence"))).toMatchObject({
      exit_code: 15,
      repudiated: 0,
      repudiated_checkpoints: [3],
    });
    log.abandon();
  });
});

describe("revoking an evidence key", () => {
  /** Four good entries, a mark, three more under the key that turns out to be stolen. */
  async function stolen(): Promise<{ log: ScratchLog; kid: string; at: Mark }> {
    const log = fresh();
    await stop(log, "a", "b", "c");
    const at = mark(log);
    await stop(log, "x", "y", "z");
    return { log, kid: kidInForce(log, "evidence"), at };
  }

  test("in force: a successor that the recovery key vouches for takes over at once, and what came after the mark is repudiated, not damaged", async () => {
    const { log, kid, at } = await stolen();
    const done = await revoke(log, kid, at);
    const successor = kidInForce(log, "evidence");
    expect(done).toEqual({ purpose: "evidence", kid, size: 4, successor, also_replaced: [] });
    expect(successor).not.toBe(kid);
    await stop(log, "after");
    expect(keyFiles(log)).toEqual(inForce(log));
    expect(report(log, kid)).toMatchObject({
      verdict: "damaged",
      exit_code: 15,
      damage: { repudiated: 1 },
      repudiated: 3,
      repudiated_ranges: [{ kid, from: 4, to: 6 }],
      trusted: true,
      signers: [kid, successor],
    });
    // A restart takes the same view.
    const again = log.reopen();
    await stop(again, "and on");
    expect(report(again, successor)).toMatchObject({ repudiated: 3, trusted: true });
    again.abandon();
  });

  test("retired: when its own rotation does not stand, neither do the keys it brought in, and they are replaced", async () => {
    const { log, kid, at } = await stolen();
    const checkpoint = kidInForce(log, "checkpoint");
    await log.writer.run([task("rotate", "evidence"), task("stop", "by the thief's key")]);
    await log.writer.run([task("rotate", "checkpoint"), task("rotate", "lease")]);
    const thief = kidInForce(log, "evidence");
    expect(await revoke(log, kid, at)).toMatchObject({ also_replaced: ["checkpoint", "lease"] });
    expect(kidInForce(log, "checkpoint")).not.toBe(checkpoint);
    const seen = report(log, kid);
    expect(seen).toMatchObject({ exit_code: 15, repudiated: 7, repudiated_ranges: [{ from: 4, to: 10 }] });
    // Whoever notes the thief's key as the one to trust has noted nobody's.
    expect(report(log, thief)).toMatchObject({ trusted: false, exit_code: 11 });
    expect(keyFiles(log)).toEqual(inForce(log));
    log.abandon();
  });

  test("retired: when all that it signed is before the mark, nothing is repudiated and the key in force goes on", async () => {
    const log = fresh();
    const old = kidInForce(log, "evidence");
    await log.writer.run([task("stop", "a"), task("rotate", "evidence"), task("stop", "b")]);
    const current = kidInForce(log, "evidence");
    expect(await revoke(log, old, mark(log))).toMatchObject({ successor: null });
    expect(kidInForce(log, "evidence")).toBe(current);
    expect(report(log, old)).toMatchObject({ exit_code: 0, repudiated: 0 });
    log.abandon();
  });

  test("again, further back: the earlier mark counts; further on: refused", async () => {
    const { log, kid } = await stolen();
    const early = mark(fresh());
    expect(await revoke(log, kid, { size: 1, root: early.root })).toEqual({
      refused: "the checkpoint is of another history than this log's",
    });
    const root = (size: number) => {
      const rows = readRows(log.ledger).slice(0, size);
      return judge(rows, kid).root ?? "";
    };
    expect(await revoke(log, kid, { size: 5, root: root(5) })).toMatchObject({ size: 5 });
    expect(await revoke(log, kid, { size: 6, root: root(6) })).toMatchObject({
      refused: "the key has been revoked up to there",
    });
    expect(await revoke(log, kid, { size: 2, root: root(2) })).toMatchObject({ successor: null });
    expect(report(log, kid)).toMatchObject({ repudiated_ranges: [{ from: 2, to: 6 }], repudiated: 5 });
    log.abandon();
  });

  test.each([
    ["of another log", { log: "018bcfe5-6800-7000-8000-000000000000" }],
    ["of another key", { kid: "A".repeat(43) }],
    ["of another purpose", { purpose: "lease" }],
    ["with another root", { root: "0".repeat(64) }],
    ["with a size beyond the log", { size: 9999 }],
    ["of nothing at all", { size: 0 }],
    ["with a successor of the attacker's own", { successor: "B".repeat(43) }],
    ["without the successor", { successor: null }],
  ] as const)("refused: a statement %s, and nothing is written", async (_, change) => {
    const { log, kid, at } = await stolen();
    const before = readRows(log.ledger).length;
    expect(await revoke(log, kid, at, (claims) => ({ ...claims, ...change }))).toHaveProperty("refused");
    expect(readRows(log.ledger)).toHaveLength(before);
    expect(kidInForce(log, "evidence")).toBe(kid);
    log.abandon();
  });

  test("refused: a statement that the stolen key itself signed, and one that was used before", async () => {
    const { log, kid, at } = await stolen();
    expect(await revoke(log, kid, at, undefined, "evidence")).toEqual({
      refused: "the statement is not signed by the recovery key of this log",
    });
    expect(await revoke(log, kid, at)).toMatchObject({ size: 4 });
    const { statement } = payloadOf(readRows(log.ledger).at(-1) ?? { jws: "" });
    expect(await log.writer.run([task("revoke", statement)])).toEqual([
      { refused: "the key has been revoked up to there" },
    ]);
    log.abandon();
  });

  test("a successor that was prepared and never signed for leaves no file", async () => {
    const { log, kid, at } = await stolen();
    await log.writer.run([
      task("prepareRevocation", { kid, ...at }),
      task("prepareRevocation", { kid, ...at }),
    ]);
    expect(keyFiles(log)).toHaveLength(5);
    const again = log.reopen();
    expect(keyFiles(again)).toEqual(inForce(again));
    again.abandon();
  });

  /** The revocation changed, signed again by the key that took over, with all that follows linked anew. */
  async function forged(edit: (payload: Record<string, unknown>) => void) {
    const { log, kid, at } = await stolen();
    await revoke(log, kid, at);
    const rows = readRows(log.ledger);
    const last = rows.length - 1;
    const changed = rewriteRows(rows, {
      keys: log.keys,
      edit: (text, seq) => {
        if (seq !== last) return text;
        const payload = JSON.parse(text) as Record<string, unknown>;
        edit(payload);
        return canonicalJson(payload as never); // parsed from json
      },
    });
    log.abandon();
    return judge(changed, kid);
  }

  test("verify: a revocation as it was made is a revocation", async () => {
    expect(await forged(() => undefined)).toMatchObject({ exit_code: 15, repudiated: 3 });
  });

  test.each([
    ["another size than was signed", (p: Record<string, unknown>) => Object.assign(p, { size: 5 })],
    [
      "another root than was signed",
      (p: Record<string, unknown>) => Object.assign(p, { root: "0".repeat(64) }),
    ],
    [
      "no proof that the tree grew from there",
      (p: Record<string, unknown>) => Object.assign(p, { consistency: [] }),
    ],
    [
      "another key than was signed",
      (p: Record<string, unknown>) => Object.assign(p, { kid: "A".repeat(43) }),
    ],
    [
      "a possession of something else",
      (p: Record<string, unknown>) => {
        const successor = p.successor as Record<string, unknown>;
        successor.possession = "A".repeat(86);
      },
    ],
  ])("verify: a key.revoked with %s is damage", async (_, edit) => {
    const found = await forged(edit);
    expect(found.exit_code).toBe(11);
    expect(found.damage.key).toBe(1);
    expect(found.repudiated).toBe(0);
  });

  test("verify: without the recovery key nobody brings a key in, whoever signs the entry", async () => {
    const { log, kid, at } = await stolen();
    await revoke(log, kid, at);
    const rows = readRows(log.ledger);
    const entry = rows.at(-1) ?? { jws: "" };
    const [head = "", body = ""] = entry.jws.split(".");
    const text = Buffer.from(body, "base64url").toString();
    const statement = (payloadOf(entry).statement as string).split(".");
    const broken = text.replace(statement[2] ?? "", "A".repeat(86));
    const jws = resign(head, broken, log.keys);
    const found = judge([...rows.slice(0, -1), { ...rows[rows.length - 1], jws } as never], kid);
    expect(found.first_damage).toMatchObject({ kind: "key", seq: 7 });
    log.abandon();
  });
});
