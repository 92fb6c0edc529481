import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { type LedgerCopy, type LivedLedger, liveALittle } from "../ledger/lived-ledger.ts";
import { silent, startUpstream } from "../upstream.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

let lived: LivedLedger;
let scratch: string;
beforeAll(async () => {
  lived = await liveALittle();
  scratch = mkdtempSync(join(tmpdir(), "latchgate-verify-"));
});
afterAll(async () => {
  await lived[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

interface Verdict {
  readonly code: number;
  readonly report: Record<string, unknown>;
  readonly stdout: string;
  readonly stderr: string;
}

async function verify(...words: string[]): Promise<Verdict> {
  const ended = await runBinary(["verify", ...words, "--json"], {
    cwd: scratch,
    env: { PATH: "", HOME: scratch },
  });
  return { ...ended, report: ended.stdout === "" ? {} : JSON.parse(ended.stdout) };
}

describe("where the ledger is", () => {
  let gate: GateProcess;
  let agent: WireAgent;
  beforeAll(async () => {
    gate = await startGate({ policy: openPolicy(), files: { "README.md": "# hello\n" } });
    agent = await WireAgent.connect(gate.clientSocket);
  });
  afterAll(() => gate[Symbol.asyncDispose]());
  const call = () => agent.execute("fs_read", { path: "README.md" });

  test("live, while the gate writes", async () => {
    let writing = true;
    const writer = (async () => {
      let calls = 0;
      for (; writing; calls++) await call();
      return calls;
    })();
    const seen: number[] = [];
    for (let i = 0; i < 8; i++) {
      const { code, report } = await verify(gate.ledger, "--trust", gate.fingerprint);
      expect({ code, report }).toMatchObject({ code: 0, report: { verdict: "intact", trusted: true } });
      seen.push(report.entries as number);
    }
    writing = false;
    expect(await writer).toBeGreaterThan(0);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBeGreaterThan(seen[0] ?? 0);
  });

  test("with the write-ahead log that a killed gate left, in place, as a copy, and on a folder that can't be written", async () => {
    await call();
    await gate.kill();
    const inPlace = await verify(gate.ledger, "--trust", gate.fingerprint, "--strict");
    expect(inPlace).toMatchObject({ code: 0, report: { verdict: "intact" } });
    const entries = inPlace.report.entries as number;

    const copy = join(scratch, "with-wal");
    mkdirSync(copy);
    for (const suffix of ["", "-wal"]) copyFileSync(gate.ledger + suffix, join(copy, `ledger.db${suffix}`));
    expect((await verify(join(copy, "ledger.db"), "--trust", gate.fingerprint)).report).toMatchObject({
      verdict: "intact",
      entries,
    });

    const sealed = join(scratch, "sealed-with-wal");
    mkdirSync(sealed);
    for (const suffix of ["", "-wal"]) copyFileSync(gate.ledger + suffix, join(sealed, `ledger.db${suffix}`));
    // All of it; never silently less.
    expect(await verifySealed(sealed, gate.fingerprint)).toMatchObject({
      code: 0,
      report: { verdict: "intact", entries },
    });

    gate = await gate.restart();
    expect(await gate.stop()).toBe(0);
  });

  test("as a copy of the main file alone, which is what it was when it was last folded", async () => {
    const folded = readRows(gate.ledger).length;
    gate = await gate.restart();
    agent = await WireAgent.connect(gate.clientSocket);
    await call();
    const copy = join(scratch, "main-file.db");
    copyFileSync(gate.ledger, copy);
    expect((await verify(copy, "--trust", gate.fingerprint)).report).toMatchObject({
      verdict: "intact",
      entries: folded,
    });
    expect(await gate.stop()).toBe(0);
  });

  test("on a folder that can't be written, under any name", async () => {
    const sealed = join(scratch, "odd ?name#with%20signs");
    mkdirSync(sealed);
    copyFileSync(gate.ledger, join(sealed, "ledger.db"));
    const { code, report } = await verifySealed(sealed, gate.fingerprint);
    expect({ code, report }).toMatchObject({ code: 0, report: { verdict: "intact" } });
  });
});

/** Verifies as an account that can read the folder and write nothing in it. */
async function verifySealed(folder: string, fingerprint: string): Promise<Verdict> {
  for (const name of ["ledger.db", "ledger.db-wal"])
    if (await Bun.file(join(folder, name)).exists()) chmodSync(join(folder, name), 0o444);
  chmodSync(scratch, 0o755);
  chmodSync(folder, 0o555);
  const nobody =
    process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const child = Bun.spawn(
    [...nobody, BINARY, "verify", join(folder, "ledger.db"), "--trust", fingerprint, "--json"],
    { cwd: "/", env: { PATH: process.env.PATH ?? "" }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  chmodSync(folder, 0o755);
  return { code, stdout, stderr, report: stdout === "" ? {} : JSON.parse(stdout) };
}

describe("whom to trust", () => {
  test("without --trust the log is consistent, never intact", async () => {
    const { code, report } = await verify(lived.gate.ledger);
    expect({ code, report }).toMatchObject({
      code: 0,
      report: {
        verdict: "consistent",
        trusted: false,
        anchored_to: null,
        fingerprint: lived.fingerprint,
        summary: `consistent, signer not verified, fingerprint ${lived.fingerprint}`,
      },
    });
    const plain = await runBinary(["verify", lived.gate.ledger], {
      cwd: scratch,
      env: { PATH: "", HOME: scratch },
    });
    expect(plain.stdout).not.toContain("intact");
  });

  test("the fingerprint from the first start covers all rotations; so does that of a later key; another does not", async () => {
    const { report } = await verify(lived.gate.ledger, "--trust", lived.fingerprint);
    expect(report).toMatchObject({ verdict: "intact", trusted: true, exit_code: 0 });
    const signers = report.signers as string[];
    expect(signers).toHaveLength(2);
    const later = await verify(lived.gate.ledger, "--trust", `SHA256:${signers[1]}`);
    expect(later.report).toMatchObject({ verdict: "intact" });
    const wrong = await verify(lived.gate.ledger, "--trust", `SHA256:${"A".repeat(43)}`);
    expect(wrong).toMatchObject({
      code: 11,
      report: { verdict: "damaged", trusted: false, first_damage: { kind: "trust" } },
    });
  });

  test("a key that serves another purpose is not trusted as a signer of entries", async () => {
    const opened = payloadOf(lived.rows[0] ?? { jws: "" }).keys as { checkpoint: { x: string } };
    const file = join(scratch, "checkpoint-key.json");
    writeFileSync(file, JSON.stringify({ keys: [{ ...opened.checkpoint }] }));
    expect((await verify(lived.gate.ledger, "--trust", file)).code).toBe(11);
  });

  test("the key set that the gate publishes is one to trust; a file that is none is refused", async () => {
    await using gate = await startGate({ policy: openPolicy(), files: { "README.md": "# hello\n" } });
    const operator = await WireOperator.of(gate);
    await operator.call("POST", "/v1/admin/rotate-keys", JSON.stringify({ purpose: "evidence" }));
    await (await WireAgent.connect(gate.clientSocket)).execute("fs_read", { path: "README.md" });
    const published = await operator.call("GET", "/v1/receipt-keys");
    const file = join(scratch, "published.json");
    writeFileSync(file, published.text);
    expect(published.body.keys).toHaveLength(2);
    expect(await verify(gate.ledger, "--trust", file)).toMatchObject({
      code: 0,
      report: { verdict: "intact" },
    });
    expect((await verify(lived.gate.ledger, "--trust", file)).code).toBe(11);
    for (const content of ["", "{}", '{"keys":[]}', '{"keys":[{"kty":"RSA"}]}', '{"keys":1,"keys":[]}']) {
      writeFileSync(file, content);
      expect((await verify(gate.ledger, "--trust", file)).code).toBe(1);
    }
    expect((await verify(gate.ledger, "--trust", join(scratch, "absent.json"))).code).toBe(1);
  });
});

describe("exit codes", () => {
  test("1: what cannot be read", async () => {
    const garbage = join(scratch, "garbage.db");
    writeFileSync(garbage, "not a database, and long enough to be read as one".repeat(200));
    const empty = join(scratch, "empty.db");
    writeFileSync(empty, "");
    for (const path of [garbage, empty, join(scratch, "absent.db"), scratch]) {
      const { code, stderr } = await verify(path);
      expect(code).toBe(1);
      expect(JSON.parse(stderr)).toMatchObject({ ok: false, error: { code: "ledger_unreadable" } });
    }
  });

  test("2: a command line that cannot be understood", async () => {
    expect((await verify()).code).toBe(2);
    expect((await verify(lived.gate.ledger, "--trusted", "x")).code).toBe(2);
    expect((await verify(lived.gate.ledger, "second.db")).code).toBe(2);
  });

  const damaged = async (change: (copy: LedgerCopy) => void, ...flags: string[]) => {
    const copy = lived.copy();
    change(copy);
    const verdict = await verify(copy.ledger, "--trust", lived.fingerprint, ...flags);
    copy.remove();
    return verdict;
  };
  const sql = (text: string) => (copy: LedgerCopy) => withDatabase(copy.ledger, (db) => db.run(text));

  test("10: an entry is missing, moved, or the log does not reach its checkpoint", async () => {
    expect(await damaged(sql("DELETE FROM entries WHERE seq = 9"))).toMatchObject({
      code: 10,
      report: { first_damage: { kind: "chain", seq: 10 } },
    });
    expect(
      await damaged(
        sql(
          "UPDATE entries SET seq = -1 WHERE seq = 6; UPDATE entries SET seq = 6 WHERE seq = 8; UPDATE entries SET seq = 8 WHERE seq = -1",
        ),
      ),
    ).toMatchObject({ code: 10, report: { first_damage: { kind: "chain", seq: 6 } } });
    expect(
      await damaged(sql("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")),
    ).toMatchObject({ code: 10, report: { first_damage: { kind: "checkpoint" } } });
    expect(await damaged(sql("DELETE FROM entries"))).toMatchObject({ code: 10 });
  });

  test("11: a signature is not valid", async () => {
    // The last one, so that no entry after it misses the one before.
    const last = readRows(lived.gate.ledger).length - 1;
    const forged = sql(
      `UPDATE entries SET jws = substr(jws, 1, length(jws) - 20) || 'AAAAAAAAAAAAAAAAAAAA' WHERE seq = ${last}`,
    );
    const { code, report } = await damaged(forged);
    // The checkpoint over it has another root, and order comes before signatures.
    expect({ code, report }).toMatchObject({
      code: 10,
      report: { first_damage: { kind: "signature", seq: last } },
    });
    const alone = await damaged((copy) => {
      forged(copy);
      sql("DELETE FROM checkpoints")(copy);
    });
    expect(alone).toMatchObject({ code: 11, report: { damage: { signature: 1, projection: 1 } } });
  });

  test("13: what stands beside the log does not follow from it", async () => {
    expect(await damaged(sql("UPDATE entries SET principal = 'uid:1' WHERE seq = 5"))).toMatchObject({
      code: 13,
      report: {
        first_damage: { kind: "projection", seq: 5, detail: "the column principal differs from the entry" },
      },
    });
    const { seq } = lived.rows.find(({ type }) => type === "call.granted") ?? { seq: -1 };
    expect(await damaged(sql(`DELETE FROM grants WHERE seq = ${seq}`))).toMatchObject({
      code: 13,
      report: { first_damage: { kind: "side_table", seq } },
    });
  });

  test("14: with --strict, a grant without a receipt, and only then", async () => {
    await using upstream = await startUpstream(silent);
    const gate = await startGate({ policy: openPolicy(), ...upstream.setup });
    const agent = await WireAgent.connect(gate.clientSocket);
    const call = agent.execute("http_fetch", { url: upstream.url }).catch(() => null);
    await upstream.arrived(1);
    await gate.kill();
    await call;
    try {
      const lenient = await verify(gate.ledger, "--trust", gate.fingerprint);
      expect(lenient).toMatchObject({ code: 0, report: { verdict: "intact", grants: 1, receipts: 0 } });
      expect(lenient.report.unresolved).toHaveLength(1);
      expect(await verify(gate.ledger, "--trust", gate.fingerprint, "--strict")).toMatchObject({
        code: 14,
        report: { first_damage: { kind: "unresolved" } },
      });
    } finally {
      await gate[Symbol.asyncDispose]();
    }
  });

  test("of several the lowest, the first damage named and the rest counted", async () => {
    const { code, report, stdout } = await damaged((copy) => {
      sql("UPDATE entries SET principal = 'uid:1' WHERE seq IN (5, 7)")(copy);
      sql("DELETE FROM entries WHERE seq = 9")(copy);
    });
    expect(code).toBe(10);
    expect(report).toMatchObject({ first_damage: { kind: "projection", seq: 5 }, damage: { projection: 2 } });
    expect(stdout).toContain(" more");
  });
});

test("it takes only the file: no project folder, no keys, no gate", async () => {
  const bare = join(scratch, "bare");
  mkdirSync(bare);
  cpSync(lived.gate.ledger, join(bare, "evidence.db"));
  expect(await verify(join(bare, "evidence.db"), "--trust", lived.fingerprint)).toMatchObject({
    code: 0,
    report: { verdict: "intact" },
  });
});
