import type { Database } from "bun:sqlite";
import { sha256 } from "../../core/bytes.ts";
import { readVkey, verifyCosignature } from "../anchor/cosignature.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { nodeHash } from "../tree.ts";

/**
 * What the tables `nodes` and `cosignatures` say that does not follow from the log; files of the first schema have
 * neither. That leaves are the hashes of the entries is checked entry by entry; here each node is that of the two
 * below it. Missing nodes are no damage: a cut file loses them with its tail, and proofs from it are refused.
 */
export function treeTableFaults(db: Database): readonly string[] {
  return [...(has(db, "nodes") ? nodeFaults(db) : []), ...(has(db, "cosignatures") ? lineFaults(db) : [])];
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
