/** What somebody who can write the file, and perhaps holds the keys, can do to a ledger. Independent of the writer. */
import { Database } from "bun:sqlite";
import { createHash, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  LogVerifier,
  type StoredCheckpoint,
  type StoredEntry,
} from "../../src/ledger/verify/log-verifier.ts";
import type { VerifyReport } from "../../src/ledger/verify/report.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";

export function withDatabase<T>(path: string, work: (db: Database) => T): T {
  const db = new Database(path, { readwrite: true, strict: true });
  try {
    return work(db);
  } finally {
    db.close();
  }
}

export function readRows(path: string): StoredEntry[] {
  return withDatabase(path, (db) => db.query<StoredEntry, []>("SELECT * FROM entries ORDER BY seq").all());
}

export function readCheckpoints(path: string): StoredCheckpoint[] {
  return withDatabase(path, (db) => db.query<StoredCheckpoint, []>("SELECT * FROM checkpoints").all());
}

/** The payload text of a compact JWS. */
export function payloadText(jws: string): string {
  return Buffer.from(jws.split(".")[1] ?? "", "base64url").toString();
}

export function payloadOf({ jws }: { readonly jws: string }): Record<string, unknown> {
  return JSON.parse(payloadText(jws)) as Record<string, unknown>;
}

/** RFC 6962 §2.1. */
export function leafOf(jws: string): Buffer {
  return createHash("sha256").update(Buffer.of(0)).update(jws).digest();
}

const encode = (text: string) => Buffer.from(text).toString("base64url");
const loaded = new Map<string, KeyObject>();

function privateKey(header: string, keys: string): KeyObject {
  const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string };
  const path = join(keys, `evidence-${kid}.pem`);
  const key = loaded.get(kid) ?? createPrivateKey(readFileSync(path));
  loaded.set(kid, key);
  return key;
}

/** Signs a payload text under the header of an entry, with the private key that the header names. */
export function resign(header: string, text: string, keys: string): string {
  const input = `${header}.${encode(text)}`;
  return `${input}.${sign(null, Buffer.from(input), privateKey(header, keys)).toString("base64url")}`;
}

export interface Rewrite {
  /** The payload text to put in the place of this one. */
  readonly edit: (text: string, seq: number) => string;
  /** The folder with the private keys to sign again with; null keeps the old signatures. */
  readonly keys: string | null;
}

/** The whole log anew with edited payloads, every link and stored hash computed again. */
export function rewriteRows(rows: readonly StoredEntry[], { edit, keys }: Rewrite): StoredEntry[] {
  let prev = "";
  return rows.map((row) => {
    const [header = "", body = "", signature = ""] = row.jws.split(".");
    const old = Buffer.from(body, "base64url").toString();
    const text = edit(
      old.replace(/"prev":"[0-9a-f]{64}"/, () => `"prev":"${prev}"`),
      row.seq,
    );
    const untouched = text === old;
    const jws = untouched
      ? row.jws
      : keys === null
        ? `${header}.${encode(text)}.${signature}`
        : resign(header, text, keys);
    const hash = leafOf(jws);
    prev = hash.toString("hex");
    return { ...row, jws, hash };
  });
}

/** The stored tree anew, level by level: the hash over each pair of the level below (RFC 6962 §2.1). */
export function writeNodes(db: Database, leaves: readonly Uint8Array[]): void {
  db.run("DELETE FROM nodes");
  let below = leaves;
  for (let level = 1; below.length > 1; level++) {
    const pairs = Array.from({ length: Math.floor(below.length / 2) }, (_, i) =>
      createHash("sha256")
        .update(Buffer.of(1))
        .update(below[2 * i] ?? "")
        .update(below[2 * i + 1] ?? "")
        .digest(),
    );
    for (const [i, hash] of pairs.entries())
      db.query("INSERT INTO nodes (level, idx, hash) VALUES (?, ?, ?)").run(level, i, hash);
    below = pairs;
  }
}

/** As {@link rewriteRows}, in the file. Checkpoints go, as who rewrites would do it. */
export function rewrite(path: string, how: Rewrite): void {
  const rows = rewriteRows(readRows(path), how);
  withDatabase(path, (db) => {
    db.run("DELETE FROM checkpoints");
    writeNodes(
      db,
      rows.map(({ hash }) => hash),
    );
    for (const { seq, jws, hash } of rows)
      db.query("UPDATE entries SET jws = ?, hash = ? WHERE seq = ?").run(jws, hash, seq);
  });
}

/** What the verifier says of these rows. */
export function judge(
  rows: readonly StoredEntry[],
  trust: string,
  checkpoints: readonly StoredCheckpoint[] = [],
): VerifyReport {
  const verifier = new LogVerifier(checkpoints);
  for (const row of rows) verifier.take(row);
  return verifier.finish(readTrust(trust), true);
}

/** Cuts the log down to its first entries, with everything that only later ones lead to. */
export function cutLog(db: Database, entries: number): void {
  db.run("DELETE FROM entries WHERE seq >= ?", [entries]);
  db.run("DELETE FROM nodes WHERE ((idx + 1) << level) > ?", [entries]);
  db.run("DELETE FROM checkpoints WHERE size > ?", [entries]);
  db.run("DELETE FROM grants WHERE seq >= ?", [entries]);
  db.run("UPDATE grants SET receipt_id = NULL, receipt_seq = NULL WHERE receipt_seq >= ?", [entries]);
}
