/** What a stolen key said against the rules, once the recovery key has revoked it: nobody's word, and nobody's damage. */
import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { signRevocation } from "../../src/keys/revocation-statement.ts";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { PreparedRevocation } from "../../src/ledger/revoker.ts";
import type { StoredEntry } from "../../src/ledger/verify/log-verifier.ts";
import { judge, readCheckpoints, readRows } from "./forge.ts";
import { grant, lease, policy, receipt, revocation, UUID } from "./said.ts";
import { type Said, type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

/** A log that says these things before a checkpoint, after it by a key that is then revoked from there on, and after that. */
async function told(before: readonly Said[], stolen: readonly Said[], after: readonly Said[]) {
  const log = scratchLog();
  logs.push(log);
  const say = (said: readonly Said[]) => log.writer.run(said.map((one) => task("say", one)));
  await say(before);
  const parsed = parseCheckpoint(log.writer.checkpoint())?.checkpoint;
  if (parsed === undefined) throw new Error("no checkpoint");
  const at = { size: parsed.size, root: parsed.root.toString("hex") };
  const { kid } = log.writer.keys.current("evidence");
  await say(stolen);
  const [prepared] = await log.writer.run([task("prepareRevocation", { kid, ...at })]);
  const recovery = join(log.keys, `recovery-${log.writer.keys.current("recovery").kid}.pem`);
  const claims = {
    ...(prepared as PreparedRevocation),
    ...{ kid, ...at, time: "2026-01-01T00:00:00.000Z" },
  };
  await log.writer.run([task("revoke", signRevocation(claims, readKeyFile(recovery, "ed25519")))]);
  await say(after);
  const rows = readRows(log.ledger);
  log.abandon();
  return {
    rows,
    from: at.size,
    report: (changed: readonly StoredEntry[] = rows) => judge(changed, kid, readCheckpoints(log.ledger)),
  };
}

const ILL: readonly Said[] = [revocation(7, 9), policy("none", "theirs"), lease(3), receipt()];

describe("what breaks the rules among repudiated entries", () => {
  test("is not damage: it is reported as repudiated alone, and the log goes on from what stood before", async () => {
    const { report } = await told([policy(null, "ours")], ILL, [
      lease(0),
      policy("ours", "newer"),
      grant("newer"),
      receipt(),
      revocation(0, 1),
      lease(1),
    ]);
    expect(report()).toMatchObject({
      exit_code: 15,
      damage: { repudiated: 1 },
      repudiated: ILL.length,
      unresolved: [],
    });
  });

  test("is damage before the checkpoint up to which the key stands, and after the revocation", async () => {
    for (const said of ILL) {
      const early = await told([said], [], []);
      expect(early.report()).toMatchObject({ exit_code: 10, first_damage: { kind: "rules", seq: 1 } });
    }
    const late = await told([], ILL, [lease(0), lease(3)]);
    expect(late.report()).toMatchObject({
      exit_code: 10,
      damage: { rules: 1, repudiated: 1 },
      first_damage: { seq: late.rows.length - 1 },
    });
  });

  test("does not bring back an epoch that had ended before them", async () => {
    const { report } = await told([revocation(0, 1)], ILL, [lease(0)]);
    expect(report()).toMatchObject({ exit_code: 10, damage: { rules: 1, repudiated: 1 } });
  });

  test("a grant among them needs no receipt, and may have one afterwards", async () => {
    const open = await told([policy(null, "ours")], [grant("ours")], []);
    expect(open.report()).toMatchObject({ exit_code: 15, unresolved: [] });
    const closed = await told([policy(null, "ours")], [grant("ours")], [receipt()]);
    expect(closed.report()).toMatchObject({ exit_code: 15, damage: { repudiated: 1 } });
    const standing = await told([policy(null, "ours"), grant("ours")], [revocation(7, 9)], []);
    expect(standing.report()).toMatchObject({ exit_code: 14, unresolved: [UUID] });
  });
});

const DAMAGE: readonly (readonly [
  what: string,
  kind: "chain" | "signature" | "projection",
  change: (rows: readonly StoredEntry[], at: number) => readonly StoredEntry[],
])[] = [
  ["a missing entry", "chain", (rows, at) => rows.filter(({ seq }) => seq !== at)],
  [
    "two entries in each other's place",
    "chain",
    (rows, at) =>
      rows.map((row, i) => {
        const other = rows[i === at ? at + 1 : i === at + 1 ? at : i] ?? row;
        return { ...other, seq: row.seq };
      }),
  ],
  [
    "an altered signature",
    "signature",
    (rows, at) =>
      rows.map((row) =>
        row.seq === at ? { ...row, jws: row.jws.replace(/.{86}$/, `${"A".repeat(85)}Q`) } : row,
      ),
  ],
  [
    "another stored hash",
    "projection",
    (rows, at) => rows.map((row) => (row.seq === at ? { ...row, hash: Buffer.alloc(32) } : row)),
  ],
  [
    "another column",
    "projection",
    (rows, at) => rows.map((row) => (row.seq === at ? { ...row, decision: "allow" } : row)),
  ],
];

// Where the entries are not those that the recovery key has spoken of, its word does not follow and nothing is repudiated.
test.each(DAMAGE)("%s among repudiated entries stays damage", async (_, kind, change) => {
  const { rows, from, report } = await told([], ILL, [lease(0)]);
  const found = report(change(rows, from + 1));
  expect(found.verdict).toBe("damaged");
  expect(found.exit_code).toBe(kind === "projection" ? 13 : 10);
  expect(found.damage[kind]).toBeGreaterThan(0);
});
