/** What `verify` takes beside a whole ledger: what is new in one, a range, a proof, an entry. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import { rangeHash } from "../../src/ledger/proof/hashes.ts";
import { inclusionProof } from "../../src/ledger/proof/inclusion.ts";
import { formatProof } from "../../src/ledger/proof/tlog-proof.ts";
import { CompactTree } from "../../src/ledger/tree.ts";
import { readAnchor } from "../../src/ledger/verify/anchors.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { payloadOf, readRows, rewrite, withDatabase } from "./forge.ts";
import { type LedgerCopy, type LivedLedger, liveALittle } from "./lived-ledger.ts";

let lived: LivedLedger;
let size: number;
beforeAll(async () => {
  lived = await liveALittle();
  size = lived.rows.length;
});
afterAll(() => lived[Symbol.asyncDispose]());

const headAt = (entries: number): string => {
  const tree = new CompactTree();
  for (const { hash } of lived.rows.slice(0, entries)) tree.push(hash);
  return `${entries} ${tree.root().toString("hex")}`;
};

function since(entries: number, change: (copy: LedgerCopy) => unknown = () => undefined) {
  const copy = lived.copy();
  change(copy);
  const anchor = readAnchor(headAt(entries));
  const report = verifyLedgerFile(copy.ledger, {
    trust: readTrust(lived.fingerprint),
    strict: true,
    anchors: [anchor],
    since: anchor,
  });
  copy.remove();
  return report;
}
const sql = (text: string) => (copy: LedgerCopy) => withDatabase(copy.ledger, (db) => db.run(text));

describe("--since", () => {
  test("from every place in a log the rest is found to be right, calls that go on over it included", () => {
    for (let entries = 1; entries <= size; entries++)
      expect(since(entries)).toMatchObject({
        verdict: "intact",
        since: entries,
        anchored_to: entries,
        entries: size,
        unresolved: [],
      });
  });

  test("what is new is checked in full", () => {
    expect(since(9, sql("UPDATE entries SET principal = 'uid:1' WHERE seq = 11"))).toMatchObject({
      exit_code: 13,
      since: 9,
    });
    expect(since(9, sql("DELETE FROM grants WHERE seq >= 9")).exit_code).toBe(13);
    expect(since(9, sql("DELETE FROM entries WHERE seq = 12")).exit_code).toBe(10);
    const edited = since(9, (copy) =>
      rewrite(copy.ledger, {
        keys: null,
        edit: (text, seq) => (seq === 11 ? text.replace('"time":"20', '"time":"21') : text),
      }),
    );
    expect(edited.exit_code).toBeLessThan(12);
  });

  test("an old entry that the root does not bear out makes everything be checked, and is named", () => {
    const report = since(21, sql("UPDATE entries SET hash = zeroblob(32) WHERE seq = 20"));
    expect(report).toMatchObject({
      since: null,
      exit_code: 13,
      first_damage: { kind: "projection", seq: 20 },
    });
    const cut = since(20, sql("DELETE FROM entries WHERE seq >= 15"));
    expect(cut).toMatchObject({ since: null, damage: { anchor: 1 } });
  });

  test("a rotation hidden from the index does not bring a retired key back", () => {
    const rotation = lived.rows.find((row) => payloadOf(row).purpose === "evidence")?.seq ?? 0;
    const report = since(
      rotation + 3,
      sql(`UPDATE entries SET type = 'gate.stopped' WHERE seq = ${rotation}`),
    );
    expect(report).toMatchObject({ since: null, exit_code: 13, first_damage: { seq: rotation } });
  });

  test("what it does not look at: columns of old entries", () => {
    const old = since(20, sql("UPDATE entries SET principal = 'uid:1' WHERE seq = 5"));
    expect(old).toMatchObject({ verdict: "intact", since: 20 });
  });
});

/** The public keys of the log, as an auditor would have them. */
function keySet(purposes: readonly string[]): string {
  const keys = readdirSync(join(lived.gate.dir, "keys"))
    .filter((name) => purposes.some((purpose) => name.startsWith(`${purpose}-`)))
    .map((name) => {
      const jwk = publicJwk(createPrivateKey(readFileSync(join(lived.gate.dir, "keys", name))));
      return { ...jwk, kid: thumbprint(jwk), "latchgate:purpose": name.split("-")[0] };
    });
  const path = join(lived.gate.dir, `${purposes.join("-")}.json`);
  writeFileSync(path, JSON.stringify({ keys }));
  return path;
}

const written = (name: string, text: string): string => {
  const path = join(lived.gate.dir, name);
  writeFileSync(path, text);
  return path;
};
const verify = async (path: string, ...flags: string[]) => {
  const { code, stdout, stderr } = await lived.gate.run("verify", path, "--json", ...flags);
  return {
    code,
    report: (stdout === "" ? JSON.parse(stderr) : JSON.parse(stdout)) as Record<string, unknown>,
  };
};

describe("export", () => {
  const exported = async (...flags: string[]) => {
    const { code, stdout } = await lived.gate.run("export", lived.gate.ledger, ...flags);
    expect(code).toBe(0);
    return stdout;
  };

  test("of every kind of range it verifies, and its last root is that of the log", async () => {
    for (const [from, to] of [
      [0, size - 1],
      [0, 4],
      [7, 12],
      [13, size - 1],
      [16, 16],
    ] as const) {
      const file = written("range.jsonl", await exported("--from", String(from), "--to", String(to)));
      const trust = from === 0 ? lived.fingerprint : keySet(["evidence"]);
      expect(await verify(file, "--trust", trust, "--strict", "--anchor", headAt(to + 1))).toMatchObject({
        code: 0,
        report: { verdict: "intact", entries: to + 1, anchored_to: to + 1, since: from === 0 ? null : from },
      });
    }
  });

  test("each change of a line is found", async () => {
    const lines = (await exported("--from", "6", "--to", "14")).trimEnd().split("\n");
    const trust = keySet(["evidence"]);
    const judged = async (changed: readonly string[]) => {
      const file = written("changed.jsonl", changed.map((line) => `${line}\n`).join(""));
      return (await verify(file, "--trust", trust, "--anchor", headAt(15))).code;
    };
    expect(await judged(lines)).toBe(0);
    expect(await judged(lines.toSpliced(4, 1))).toBe(10);
    expect(await judged(lines.slice(0, -1))).toBe(10);
    expect(await judged(lines.with(3, lines[4] ?? "").with(4, lines[3] ?? ""))).toBe(10);
    expect(await judged(lines.with(5, (lines[5] ?? "").replace(/.{4}"}$/, 'AAAA"}')))).toBe(10);
    const head = lines[0] ?? "";
    expect(await judged(lines.with(0, head.replace(/"prev":"../, '"prev":"zz')))).toBe(1);
    expect(await judged(lines.with(0, head.replace(/"prev":"../, '"prev":"00')))).toBe(10);
    expect(await judged(lines.with(0, head.replace(/"edge":\["....../, '"edge":["000000')))).toBe(12);
    expect(await judged(lines.with(0, head.replace(/"edge":\["[0-9a-f]{64}",?/, '"edge":[')))).toBe(1);
    expect(await judged(lines.with(2, "{}"))).toBe(1);
  });

  test("keys that only its own head names are nobody's", async () => {
    const file = written("range.jsonl", await exported("--from", "6", "--to", "9"));
    expect(await verify(file)).toMatchObject({ code: 0, report: { verdict: "consistent", trusted: false } });
    expect((await verify(file, "--trust", `SHA256:${"A".repeat(43)}`)).code).toBe(11);
  });

  test("a range that is not there, and a file that is, are refused", async () => {
    const run = (...flags: string[]) => lived.gate.run("export", lived.gate.ledger, ...flags);
    expect((await run("--from", String(size))).code).toBe(1);
    expect((await run("--from", "-1")).code).toBe(2);
    expect((await run("--from=x")).code).toBe(2);
    const out = written("there.jsonl", "");
    expect((await run("--out", out)).code).toBe(1);
    expect((await run("--out", join(lived.gate.dir, "fresh.jsonl"))).code).toBe(0);
    expect((await verify(join(lived.gate.dir, "fresh.jsonl"), "--trust", lived.fingerprint)).code).toBe(0);
  });
});

describe("an entry or a proof", () => {
  const jwsAt = (seq: number) => lived.rows[seq]?.jws ?? "";
  const proofOf = (seq: number) => {
    const note = lived.checkpoints.at(-1)?.note ?? "";
    const covered = parseCheckpoint(note)?.checkpoint.size ?? 0;
    const leaves = readRows(lived.gate.ledger).map(({ hash }) => hash);
    const read = (level: number, index: number): Uint8Array => {
      const start = index * 2 ** level;
      if (level === 0) return leaves[index] ?? new Uint8Array();
      const middle = start + 2 ** (level - 1);
      const tree = new CompactTree();
      for (const leaf of leaves.slice(start, middle + 2 ** (level - 1))) tree.push(leaf);
      return tree.root();
    };
    expect(rangeHash(0, covered, read)).toEqual(parseCheckpoint(note)?.checkpoint.root ?? Buffer.of());
    return formatProof({ jws: jwsAt(seq), index: seq, path: inclusionProof(seq, covered, read), note });
  };

  test("an entry is checked with the keys of a set; alone or with a fingerprint it says who signed it", async () => {
    const file = written("entry.jws", `${jwsAt(9)}\n`);
    expect(await verify(file, "--trust", keySet(["evidence"]))).toMatchObject({
      code: 0,
      report: { verdict: "intact", seq: 9 },
    });
    expect(await verify(file)).toMatchObject({ code: 0, report: { verdict: "consistent", trusted: false } });
    expect((await verify(file, "--trust", keySet(["checkpoint"]))).code).toBe(11);
    expect((await verify(file, "--trust", `SHA256:${"A".repeat(43)}`)).code).toBe(11);
    expect(await verify(file, "--trust", lived.fingerprint)).toMatchObject({ code: 1 });
    const forged = written("entry.jws", `${jwsAt(9).slice(0, -6)}AAAAAA`);
    expect((await verify(forged, "--trust", keySet(["evidence"]))).code).toBe(11);
    expect((await verify(file, "--since", headAt(3))).code).toBe(2);
  });

  test("a proof needs its path, its entry's key and its checkpoint's, or an anchor in its place", async () => {
    const proof = proofOf(9);
    const file = written("receipt.tlog-proof", proof);
    const both = keySet(["evidence", "checkpoint"]);
    expect(await verify(file, "--trust", both)).toMatchObject({
      code: 0,
      report: { verdict: "intact", seq: 9, trusted: true },
    });
    expect((await verify(file, "--trust", keySet(["evidence"]))).code).toBe(11);
    expect((await verify(file, "--trust", keySet(["checkpoint"]))).code).toBe(11);
    const covered = parseCheckpoint(lived.checkpoints.at(-1)?.note ?? "")?.checkpoint.size ?? 0;
    expect(await verify(file, "--trust", keySet(["evidence"]), "--anchor", headAt(covered))).toMatchObject({
      code: 0,
      report: { verdict: "intact", anchored_to: covered },
    });
    expect((await verify(file, "--trust", both, "--anchor", `${covered} ${"0".repeat(64)}`)).code).toBe(12);
    const lines = proof.split("\n");
    const altered = written("altered.tlog-proof", lines.with(4, lines[3] ?? "").join("\n"));
    expect((await verify(altered, "--trust", both)).code).toBe(10);
    const moved = written("moved.tlog-proof", proof.replace("\nindex 9\n", "\nindex 8\n"));
    expect((await verify(moved, "--trust", both)).code).toBe(10);
  });
});
