import type { Database } from "bun:sqlite";
import { sha256 } from "../../core/bytes.ts";
import { LruMap } from "../../core/lru-map.ts";
import { readVkey, verifyCosignature, type WitnessKey } from "../anchor/cosignature.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { hasTable } from "./has-table.ts";

interface LineRow {
  readonly witness: unknown;
  readonly public_key: unknown;
  readonly timestamp: unknown;
  readonly line: unknown;
  readonly note: unknown;
}

/**
 * What the table `cosignatures` says that does not follow from the stored checkpoints; each of those is checked for
 * itself.
 * @param from leave out what is about trees of this size or smaller
 */
export function cosignatureFaults(db: Database, from: number): string[] {
  if (!hasTable(db, "cosignatures")) return [];
  const rows = db
    .query<LineRow, [number]>(
      `SELECT c.witness, c.public_key, c.timestamp, c.line, k.note
       FROM cosignatures c LEFT JOIN checkpoints k ON k.size = c.size WHERE ?1 = 0 OR c.size > ?1`,
    )
    .iterate(from);
  const keys = new LruMap<string, WitnessKey>(64);
  const faults: string[] = [];
  for (const row of rows)
    if (!holds(row, keys)) faults.push("a stored cosignature is not that of its witness over its checkpoint");
  return faults;
}

function holds(
  { witness, public_key, timestamp, line, note }: LineRow,
  keys: LruMap<string, WitnessKey>,
): boolean {
  if (typeof witness !== "string" || typeof public_key !== "string") return false;
  if (typeof line !== "string" || typeof note !== "string") return false;
  const name = `${witness}\n${public_key}`;
  const key = keys.get(name) ?? witnessKey(witness, public_key);
  const text = parseCheckpoint(note)?.text;
  if (key === null || key.x !== public_key || text === undefined) return false;
  keys.set(name, key);
  return verifyCosignature(text, line, key)?.timestamp === timestamp;
}

/** Admission of a key costs many times what its signatures do. */
function witnessKey(witness: string, publicKey: string): WitnessKey | null {
  const raw = Buffer.from(publicKey, "base64url");
  const id = sha256(witness, "\n", Uint8Array.of(4), raw).subarray(0, 4).toString("hex");
  return readVkey(`${witness}+${id}+${Buffer.concat([Uint8Array.of(4), raw]).toString("base64")}`);
}
