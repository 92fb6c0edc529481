import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evidenceFormat } from "../../scripts/build-evidence-format.ts";
import { LedgerError } from "../../src/ledger/errors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf } from "../ledger/forge.ts";
import { type LivedLedger, liveALittle, liveThroughTheft } from "../ledger/lived-ledger.ts";
import { silent, startUpstream } from "../upstream.ts";
import { WireAgent } from "../wire-client.ts";
import { type Mutation, mutations, type Target } from "./mutations.ts";
import { verifyLedger } from "./verify.ts";

let lived: LivedLedger;
let robbed: LivedLedger;
let scratch: string;
beforeAll(async () => {
  // Hundreds of damaged copies, none of which need outlive a crash.
  scratch = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "latchgate-independent-"));
  [lived, robbed] = await Promise.all([liveALittle(), liveThroughTheft()]);
});
afterAll(async () => {
  await lived[Symbol.asyncDispose]();
  await robbed[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

/** What both say of a file, in the members that both have. */
function verdicts(path: string, trust: string | null) {
  const { faults, ...independent } = verifyLedger(path, trust);
  try {
    const report = verifyLedgerFile(path, { trust: readTrust(trust ?? undefined), strict: false });
    const { verdict, exit_code, head, root, unresolved } = report;
    return {
      faults,
      independent,
      shipped: { verdict, exit_code, head, root, unresolved: unresolved.length },
      told: report.first_damage,
    };
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    const shipped = { verdict: "unreadable", exit_code: 1, head: null, root: null, unresolved: 0 };
    return { faults, independent, shipped, told: null };
  }
}

function agreeOnGood(gate: GateProcess, unresolved = 0): void {
  for (const [trust, verdict] of [
    [gate.fingerprint, "intact"],
    [null, "consistent"],
  ] as const) {
    const { faults, independent, shipped } = verdicts(gate.ledger, trust);
    expect(faults).toEqual([]);
    expect({ ...independent }).toEqual({ ...shipped } as typeof independent);
    expect(shipped).toMatchObject({ verdict, exit_code: 0, unresolved });
  }
  const stranger = verdicts(gate.ledger, `SHA256:${"A".repeat(43)}`);
  expect([stranger.independent.exit_code, stranger.shipped.exit_code]).toEqual([11, 11]);
}

describe("both verifiers accept", () => {
  test("a fresh ledger", async () => {
    await using gate = await startGate();
    agreeOnGood(gate);
    await gate.stop();
    agreeOnGood(gate);
  });

  test("one with approvals, denials, refusals, a revocation and rotations of every key", () => {
    const types = new Set(lived.rows.map(({ type }) => type));
    for (const type of ["call.held", "approval.decided", "call.denied", "revocation", "key.rotated"])
      expect(types).toContain(type);
    agreeOnGood(lived.gate);
  });

  test("one whose evidence key was stolen and revoked, with all that the thief had it say", () => {
    const report = verifyLedgerFile(robbed.gate.ledger, { trust: readTrust(undefined), strict: false });
    expect(report.repudiated).toBeGreaterThan(8);
    expect(new Set(robbed.rows.map(({ type }) => type))).toContain("key.revoked");
    agreeOnGood(robbed.gate);
    // A key that only entries of the thief's brought in is nobody's.
    const brought = robbed.rows.map(payloadOf).find(({ type }) => type === "key.rotated")?.kid;
    const tainted = verdicts(robbed.gate.ledger, `SHA256:${brought}`);
    expect([tainted.independent.exit_code, tainted.shipped.exit_code]).toEqual([11, 11]);
  });

  test("one of a gate that was killed with a call under way, before and after it starts again", async () => {
    await using hanging = await startUpstream(silent);
    const gate = await startGate({ policy: openPolicy(), ...hanging.setup });
    const agent = await WireAgent.connect(gate.clientSocket);
    const call = agent.execute("http_fetch", { url: hanging.url }).catch(() => null);
    await hanging.arrived(1);
    await gate.kill();
    await call;
    agreeOnGood(gate, 1);
    const restarted = await gate.restart();
    try {
      agreeOnGood(restarted);
      await restarted.stop();
      agreeOnGood(restarted);
    } finally {
      await restarted[Symbol.asyncDispose]();
    }
  });
});

/** A fresh copy of the ledger with one mutation. */
function damaged(mutation: Mutation, of: LivedLedger): Target {
  const ledger = join(scratch, "ledger.db");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(ledger + suffix, { force: true });
  copyFileSync(of.gate.ledger, ledger);
  const target = { ledger, keys: join(of.gate.dir, "keys") };
  mutation.apply(target);
  return target;
}

/** Whether SQLite itself finds an index that differs from its table: then two ways to read differ, rightly. */
function damagedIndex(path: string): boolean {
  try {
    const db = new Database(path, { readonly: true });
    try {
      const found = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
      return found.some((row) => /index/i.test(row.integrity_check));
    } finally {
      db.close();
    }
  } catch {
    return true;
  }
}

const ALL = mutations(20, 6);

/** How many mutated ledgers ended with which exit code, and those that the two verifiers disagree on. */
function compared(all: readonly Mutation[], of: LivedLedger) {
  const tally: Record<string, number> = {};
  const disagreements: unknown[] = [];
  for (const mutation of all) {
    const { ledger } = damaged(mutation, of);
    const { faults, independent, shipped, told } = verdicts(ledger, of.fingerprint);
    const exit = `${shipped.exit_code}`;
    tally[exit] = (tally[exit] ?? 0) + 1;
    // Where bytes of the file are damaged, one reader may meet the damage where the other reads past it.
    const same = mutation.raw
      ? (independent.exit_code === 0) === (shipped.exit_code === 0) || damagedIndex(ledger)
      : independent.exit_code === shipped.exit_code && independent.verdict === shipped.verdict;
    if (!same)
      disagreements.push({ name: mutation.name, independent, shipped, told, faults: faults.slice(0, 3) });
  }
  return { tally, disagreements };
}

test("both give the same verdict on every mutated ledger", () => {
  const { tally, disagreements } = compared(ALL, lived);
  expect(disagreements).toEqual([]);
  expect(ALL.length).toBeGreaterThanOrEqual(200);
  // The mutations must reach every kind of damage, and leave some ledgers whole.
  for (const exit of ["0", "1", "10", "11", "13"])
    expect([exit, (tally[exit] ?? 0) > 3]).toEqual([exit, true]);
}, 120_000);

test("and on those of a log with revoked keys", () => {
  const changed = mutations(21, 4).filter(({ raw }) => !raw);
  const { tally, disagreements } = compared(changed, robbed);
  expect(disagreements).toEqual([]);
  for (const exit of ["0", "10", "11", "13"]) expect([exit, (tally[exit] ?? 0) > 3]).toEqual([exit, true]);
}, 120_000);

test("so does the shipped binary", async () => {
  for (const mutation of ALL.filter((_, i) => i % 37 === 0)) {
    const { ledger } = damaged(mutation, lived);
    const { shipped } = verdicts(ledger, lived.fingerprint);
    const { code } = await lived.gate.run("verify", ledger, "--trust", lived.fingerprint, "--json");
    expect([mutation.name, code]).toEqual([mutation.name, shipped.exit_code]);
  }
});

test("the published format is that of the source", () => {
  for (const [path, text] of evidenceFormat())
    expect({ path, current: readFileSync(path, "utf8") === text }).toEqual({ path, current: true });
});
