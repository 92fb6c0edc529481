import { afterAll, beforeAll, expect, test } from "bun:test";
import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { compactVerify, importJWK } from "jose";
import { sha256Hex } from "../../src/core/bytes.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { startGate } from "../gate-process.ts";
import { judge, leafOf, payloadOf, withDatabase } from "../ledger/forge.ts";
import { type LivedLedger, liveALittle } from "../ledger/lived-ledger.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

let lived: LivedLedger;
beforeAll(async () => {
  lived = await liveALittle();
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

/** The rows with one member changed under its old signature, and its own hash computed again. */
function withMember({ seq, path }: Leaf) {
  return lived.rows.map((row) => {
    if (row.seq !== seq) return row;
    const [header, , signature] = row.jws.split(".");
    const text = canonicalJson(changed(payloadOf(row), path) as never); // parsed from json
    const jws = `${header}.${Buffer.from(text).toString("base64url")}.${signature}`;
    return { ...row, jws, hash: leafOf(jws) };
  });
}

test("every member of every body is under the signature: each changed one is found where it stands", () => {
  const leaves = lived.rows.flatMap((row) => leavesOf(payloadOf(row), row.seq));
  expect(leaves.length).toBeGreaterThan(400);
  for (const leaf of leaves) {
    const report = judge(withMember(leaf), lived.fingerprint, lived.checkpoints);
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
      for (const { seq, jws, hash } of withMember(leaf))
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

test("every column beside the signed bytes is compared with them, in every row and every class of value", () => {
  const copy = lived.copy();
  const verdict = () => verifyLedgerFile(copy.ledger, { trust: readTrust(lived.fingerprint), strict: true });
  expect(verdict().verdict).toBe("intact");
  let tried = 0;
  for (const [table, key, columns] of COLUMNS) {
    const rows = withDatabase(copy.ledger, (db) =>
      db.query<Record<string, Value>, []>(`SELECT * FROM ${table}`).all(),
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows)
      for (const column of columns) {
        const at = row[key] ?? null;
        // A number in a primary key column would be taken for a row id; elsewhere any class of value fits anywhere.
        const values =
          column === "seq" || column === "size"
            ? [flipped(row[column])]
            : [flipped(row[column]), 7777, Buffer.of(0)];
        for (const value of values) {
          tried++;
          const set = (to: unknown, where: unknown) =>
            withDatabase(copy.ledger, (db) => {
              db.query(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(to as Value, where as Value);
            });
          set(value, at);
          const report = verdict();
          expect({ table, column, at, value, verdict: report.verdict }).toMatchObject({ verdict: "damaged" });
          expect([10, 11, 13]).toContain(report.exit_code);
          set(row[column], column === key ? value : at);
        }
      }
  }
  expect(verdict().verdict).toBe("intact");
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
