import { afterAll, beforeAll, expect, test } from "bun:test";
import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { compactVerify, importJWK } from "jose";
import { sha256Hex } from "../../src/core/bytes.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { FileCheck } from "../../src/ledger/verify/file-check.ts";
import { LogVerifier, type StoredEntry } from "../../src/ledger/verify/log-verifier.ts";
import { keysNamedIn } from "../../src/ledger/verify/named-keys.ts";
import { shortRows } from "../../src/ledger/verify/rows.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { KeyDirectory, vouchFirst } from "../../src/ledger/verify/vouch.ts";
import { readVouched, type Vouched } from "../../src/ledger/verify/vouched-batch.ts";
import { startGate } from "../gate-process.ts";
import { leafOf, payloadOf, withDatabase } from "../ledger/forge.ts";
import { type LivedLedger, liveALittle } from "../ledger/lived-ledger.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

let lived: LivedLedger;
/** Every entry of it, checked by itself once: thousands of altered copies differ from it in one row each. */
let vouched: readonly Vouched[];
beforeAll(async () => {
  lived = await liveALittle();
  vouched = withDatabase(lived.gate.ledger, (db) =>
    readVouched(
      vouchFirst(shortRows(db, { from: 0, to: lived.rows.length }), 0, new KeyDirectory(keysNamedIn(db))),
    ),
  );
  expect(vouched).toHaveLength(lived.rows.length);
});
afterAll(() => lived[Symbol.asyncDispose]());

type Value = string | number | boolean | null;

/** Another value of the same kind, or one where there was none. */
function other(value: Value): Value {
  switch (typeof value) {
    case "boolean":
      return !value;
    case "number":
      return value + 1;
    case "string":
      return value === "" ? "x" : (value.startsWith("0") ? "1" : "0") + value.slice(1);
    default:
      return "x";
  }
}

interface Leaf {
  readonly seq: number;
  readonly path: readonly string[];
}

function leavesOf(value: unknown, seq: number, path: readonly string[] = []): Leaf[] {
  if (typeof value !== "object" || value === null) return [{ seq, path }];
  return Object.entries(value).flatMap(([name, member]) => leavesOf(member, seq, [...path, name]));
}

function changed(payload: Record<string, unknown>, path: readonly string[]): Record<string, unknown> {
  const body = structuredClone(payload);
  const holder = path
    .slice(0, -1)
    .reduce<Record<string, unknown>>((o, step) => o[step] as Record<string, unknown>, body);
  const name = path.at(-1) ?? "";
  holder[name] = other(holder[name] as Value);
  return body;
}

/** The row with one member changed under its old signature, and its own hash computed again. */
function withMember({ seq, path }: Leaf): StoredEntry {
  const row = lived.rows[seq] as StoredEntry; // positions are those of the rows
  const [header, , signature] = row.jws.split(".");
  const text = canonicalJson(changed(payloadOf(row), path) as never); // parsed from json
  const jws = `${header}.${Buffer.from(text).toString("base64url")}.${signature}`;
  return { ...row, jws, hash: leafOf(jws) };
}

/** What the verifier says of the log with this row in the place of its own. */
function judgeWith(row: StoredEntry) {
  const verifier = new LogVerifier(lived.checkpoints);
  for (const [seq, one] of vouched.entries())
    if (seq === row.seq) verifier.take(row);
    else verifier.takeVouched(one);
  return verifier.finish(readTrust(lived.fingerprint), true);
}

test("every member of every body is under the signature: each changed one is found where it stands", () => {
  const leaves = lived.rows.flatMap((row) => leavesOf(payloadOf(row), row.seq));
  expect(leaves.length).toBeGreaterThan(400);
  expect(judgeWith(lived.rows[0] as StoredEntry).verdict).toBe("intact");
  for (const leaf of leaves) {
    const report = judgeWith(withMember(leaf));
    expect({ leaf, verdict: report.verdict, at: report.first_damage?.seq }).toEqual({
      leaf,
      verdict: "damaged",
      at: leaf.seq,
    });
    expect([10, 11]).toContain(report.exit_code);
  }
});

test("latchgate verify names a changed member", async () => {
  const leaves = lived.rows.flatMap((row) => leavesOf(payloadOf(row), row.seq));
  for (const leaf of fc.sample(fc.constantFrom(...leaves), { seed: 1, numRuns: 12 })) {
    const copy = lived.copy();
    withDatabase(copy.ledger, (db) => {
      const { seq, jws, hash } = withMember(leaf);
      db.query("UPDATE entries SET jws = ?, hash = ? WHERE seq = ?").run(jws, hash, seq);
    });
    const { code, stdout } = await lived.gate.run(
      "verify",
      copy.ledger,
      "--trust",
      lived.fingerprint,
      "--json",
    );
    expect({ code, report: JSON.parse(stdout) }).toMatchObject({
      report: { verdict: "damaged", first_damage: { seq: leaf.seq } },
    });
    expect([10, 11]).toContain(code);
    copy.remove();
  }
});

const COLUMNS: readonly (readonly [table: string, key: string, columns: readonly string[]])[] = [
  [
    "entries",
    "seq",
    [
      "seq",
      "id",
      "type",
      "time_ms",
      "trace_id",
      "tenant",
      "principal",
      "action_id",
      "decision",
      "jws",
      "hash",
    ],
  ],
  ["checkpoints", "size", ["size", "root", "note"]],
  [
    "grants",
    "grant_id",
    ["grant_id", "seq", "approval_id", "session_id", "principal", "receipt_id", "receipt_seq"],
  ],
];

function flipped(value: unknown): Value | Uint8Array {
  if (!(value instanceof Uint8Array)) return typeof value === "number" ? value + 1000 : other(value as Value);
  const bytes = Uint8Array.from(value);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return bytes;
}

/** The values that a column is given: a number in a primary key column would be taken for a row id. */
function valuesFor(column: string, stored: unknown): readonly (Value | Uint8Array)[] {
  return column === "seq" || column === "size" ? [flipped(stored)] : [flipped(stored), 7777, Buffer.of(0)];
}

test("every column beside the signed bytes is compared with them, in every row and every class of value", () => {
  const copy = lived.copy();
  const options = { trust: readTrust(lived.fingerprint), strict: true };
  let tried = 0;
  withDatabase(copy.ledger, (db) => {
    const end = vouched.length;
    /** Of the file as it is within the transaction; what is known of the rows but the one at `seq` is not checked again. */
    const verdictAround = (seq: number) => {
      const check = new FileCheck(db, options);
      check.take({ from: 0, to: seq }, vouched.slice(0, seq));
      check.take({ from: seq, to: seq + 1 }, []);
      check.take({ from: seq + 1, to: end }, vouched.slice(seq + 1));
      return check.finish();
    };
    const wholeVerdict = () => {
      const check = new FileCheck(db, options);
      check.takeAll(new KeyDirectory(keysNamedIn(db)));
      return check.finish();
    };
    expect([wholeVerdict().verdict, verdictAround(3).verdict]).toEqual(["intact", "intact"]);
    for (const [table, key, columns] of COLUMNS) {
      const rows = db.query<Record<string, Value>, []>(`SELECT * FROM ${table}`).all();
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows)
        for (const column of columns)
          for (const value of valuesFor(column, row[column])) {
            tried++;
            const at = row[key] ?? null;
            db.run("BEGIN");
            db.query(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(value, at);
            // A row of another table, or one that has moved, is found by the rows that it stands beside.
            const alone = table === "entries" && column !== "seq";
            const report = alone ? verdictAround(Number(at)) : wholeVerdict();
            db.run("ROLLBACK");
            expect({ table, column, at, value, verdict: report.verdict }).toMatchObject({
              verdict: "damaged",
            });
            expect([10, 11, 13]).toContain(report.exit_code);
          }
    }
    expect(wholeVerdict().verdict).toBe("intact");
  });
  expect(tried).toBeGreaterThan(300);
});

test("latchgate verify says which column of which entry was changed", async () => {
  for (const [table, key, columns] of COLUMNS)
    for (const column of columns) {
      const copy = lived.copy();
      withDatabase(copy.ledger, (db) => {
        const row =
          db.query<Record<string, Value>, []>(`SELECT * FROM ${table} ORDER BY ${key} DESC`).get() ?? {};
        db.query(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(
          flipped(row[column]),
          row[key] ?? null,
        );
      });
      const { code, stdout } = await lived.gate.run(
        "verify",
        copy.ledger,
        "--trust",
        lived.fingerprint,
        "--json",
      );
      const report = JSON.parse(stdout);
      expect({ table, column, verdict: report.verdict }).toEqual({ table, column, verdict: "damaged" });
      expect(code).toBe(report.exit_code);
      if (table === "grants") expect(code).toBe(13);
      copy.remove();
    }
});

test("what the receipt view shows is in the signed bytes, and is not shown as good when it is not", async () => {
  await using gate = await startGate({ files: { "README.md": "# hello\n" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  const first = (await agent.execute("fs_read", { path: "README.md" })).body;
  const second = (await agent.execute("fs_read", { path: "README.md" })).body;
  const operator = await WireOperator.of(gate);
  const view = async (id: string) => operator.call("GET", `/v1/receipts/${id}`);
  const shown = (await view(first.receipt_id)).body;

  const { keys } = (await operator.call("GET", "/v1/receipt-keys")).body;
  const jwk = keys.find((key: { kid: string }) => key.kid === shown.signing_key_id);
  const checked = await compactVerify(
    shown.jws,
    await importJWK({ kty: "OKP", crv: "Ed25519", x: jwk.x }, "EdDSA"),
  );
  const signed = JSON.parse(Buffer.from(checked.payload).toString());
  expect(createPublicKey({ key: jwk, format: "jwk" }).asymmetricKeyType).toBe("ed25519");
  expect(shown).toEqual({
    ...shown,
    receipt_id: signed.receipt_id,
    grant_id: signed.grant_id,
    action_id: signed.action_id,
    principal: signed.principal,
    tenant: signed.tenant,
    trace_id: signed.trace_id,
    provider_module_digest: signed.component_digest,
    effect_evidence: signed.effects,
    status: signed.status,
    dispatched: signed.dispatched,
    confirmed: signed.confirmed,
    boundary: signed.boundary,
    boundary_note: expect.stringContaining(signed.boundary === "same_uid" ? "secrets" : "nothing to warn of"),
    started_at: signed.started,
    finished_at: signed.finished,
    normalized_result: { kind: "success", summary: signed.verification.outcome },
    verification_outcome: {
      status: signed.verification.outcome,
      evidence: { reasons: signed.verification.reasons },
    },
    failure_class: null,
    provider_receipt: first.output,
    result_hash: sha256Hex(checked.payload),
    receipt_signature: Buffer.from(shown.jws.split(".")[2], "base64url").toString("hex"),
    signature_status: "valid",
    seq: signed.seq,
    leaf_hash: leafOf(shown.jws).toString("hex"),
  });
  // Nothing else is shown that this comparison did not cover.
  expect(Object.keys(shown)).toHaveLength(26);

  const change = (sql: string, ...values: (string | number)[]) =>
    withDatabase(gate.ledger, (db) => db.query(sql).run(...values));
  // Another receipt behind the same id is not shown at all.
  change("UPDATE grants SET receipt_seq = -1 WHERE receipt_id = ?", second.receipt_id);
  change("UPDATE grants SET receipt_seq = ? WHERE receipt_id = ?", signed.seq + 2, first.receipt_id);
  const swapped = await view(first.receipt_id);
  expect(swapped).toMatchObject({ status: 500, body: { error: "ledger_error" } });
  expect(swapped.text).not.toContain(second.receipt_id);
  change("UPDATE grants SET receipt_seq = ? WHERE receipt_id = ?", signed.seq, first.receipt_id);
  // A changed member under the old signature is shown as not signed, and without its output.
  const [header, , signature] = shown.jws.split(".");
  const forged = Buffer.from(canonicalJson({ ...signed, principal: "uid:1" })).toString("base64url");
  change("UPDATE entries SET jws = ? WHERE seq = ?", `${header}.${forged}.${signature}`, signed.seq);
  expect((await view(first.receipt_id)).body).toMatchObject({
    signature_status: "invalid",
    provider_receipt: null,
  });
});
