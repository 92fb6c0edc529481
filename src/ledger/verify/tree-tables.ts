import type { Database } from "bun:sqlite";
import { sha256 } from "../../core/bytes.ts";
import { readVkey, verifyCosignature } from "../anchor/cosignature.ts";
import { certificateDigest, tokenOver } from "../anchor/timestamp/authority.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { nodeHash } from "../tree.ts";

/**
 * What the tables `nodes`, `cosignatures` and `timestamps` say that does not follow from the log; older files lack
 * some. That leaves are the hashes of the entries is checked entry by entry; here each node is that of the two
 * below it. Missing nodes are no damage: a cut file loses them with its tail, and proofs from it are refused.
 */
export function treeTableFaults(db: Database): readonly string[] {
  return [
    ...(has(db, "nodes") ? nodeFaults(db) : []),
    ...(has(db, "cosignatures") ? lineFaults(db) : []),
    ...(has(db, "timestamps") ? stampFaults(db) : []),
  ];
}

function has(db: Database, table: string): boolean {
  return (
    db
      .query<{ n: number }, [string]>(
        "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name = ?",
      )
      .get(table)?.n === 1
  );
}

interface NodeRow {
  readonly hash: unknown;
  readonly left: unknown;
  readonly right: unknown;
}

function nodeFaults(db: Database): string[] {
  const rows = db.query<NodeRow, []>(
    `SELECT n.hash AS hash,
       CASE n.level WHEN 1 THEN (SELECT hash FROM entries WHERE seq = 2 * n.idx)
         ELSE (SELECT hash FROM nodes WHERE level = n.level - 1 AND idx = 2 * n.idx) END AS left,
       CASE n.level WHEN 1 THEN (SELECT hash FROM entries WHERE seq = 2 * n.idx + 1)
         ELSE (SELECT hash FROM nodes WHERE level = n.level - 1 AND idx = 2 * n.idx + 1) END AS right
     FROM nodes n`,
  );
  const faults: string[] = [];
  for (const { hash, left, right } of rows.iterate()) {
    const follows =
      hash instanceof Uint8Array &&
      left instanceof Uint8Array &&
      right instanceof Uint8Array &&
      nodeHash(left, right).equals(hash);
    if (!follows) faults.push("a stored node of the tree does not follow from the entries");
  }
  return faults;
}

interface LineRow {
  readonly witness: unknown;
  readonly public_key: unknown;
  readonly timestamp: unknown;
  readonly line: unknown;
  readonly note: unknown;
}

function lineFaults(db: Database): string[] {
  const rows = db
    .query<LineRow, []>(
      `SELECT c.witness, c.public_key, c.timestamp, c.line, k.note
       FROM cosignatures c LEFT JOIN checkpoints k ON k.size = c.size`,
    )
    .all();
  return rows
    .filter((row) => !holds(row))
    .map(() => "a stored cosignature is not that of its witness over its checkpoint");
}

function holds({ witness, public_key, timestamp, line, note }: LineRow): boolean {
  if (typeof witness !== "string" || typeof public_key !== "string") return false;
  if (typeof line !== "string" || typeof note !== "string") return false;
  const raw = Buffer.from(public_key, "base64url");
  const id = sha256(witness, "\n", Uint8Array.of(4), raw).subarray(0, 4).toString("hex");
  const key = readVkey(`${witness}+${id}+${Buffer.concat([Uint8Array.of(4), raw]).toString("base64")}`);
  const text = parseCheckpoint(note)?.text;
  if (key === null || key.x !== public_key || text === undefined) return false;
  return verifyCosignature(text, line, key)?.timestamp === timestamp;
}

interface StampRow {
  readonly certificate: unknown;
  readonly time_ms: unknown;
  readonly token: unknown;
  readonly note: unknown;
}

function stampFaults(db: Database): string[] {
  const rows = db.query<StampRow, []>(
    `SELECT t.certificate, t.time_ms, t.token, k.note
     FROM timestamps t LEFT JOIN checkpoints k ON k.size = t.size`,
  );
  const faults: string[] = [];
  for (const row of rows.iterate())
    if (!isStamp(row)) faults.push("a stored time stamp is not one of its checkpoint");
  return faults;
}

function isStamp({ certificate, time_ms, token, note }: StampRow): boolean {
  const text = typeof note === "string" ? parseCheckpoint(note)?.text : undefined;
  if (text === undefined || !(token instanceof Uint8Array)) return false;
  const read = tokenOver(text, Buffer.from(token));
  return read !== null && read.time === time_ms && certificateDigest(read.signer) === certificate;
}
