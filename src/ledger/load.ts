import type { Database } from "bun:sqlite";
import { type HistoricalKey, KeyHistory } from "../keys/history.ts";
import { type EntryPayload, isFault, readPayload } from "./entry/entry.ts";
import { leafHash, openJws, verifyJws } from "./entry/jws.ts";
import { LedgerError } from "./errors.ts";
import { applyRevocation, entryKeyAt } from "./key-revocation.ts";
import { applyRotation } from "./key-rotation.ts";
import { CompactTree } from "./tree.ts";
import { interiorNodes, TreeStore } from "./tree-store.ts";

/** What a writer needs to go on: the head, the keys, the right edge of the tree. */
export interface LoadedLog {
  readonly log: string;
  readonly history: KeyHistory;
  readonly tree: CompactTree;
  /** Hex leaf hash of the last entry. */
  readonly head: string;
}

/** How many of the last entries are verified in full at start; every leaf hash is recomputed for the tree anyway. */
const VERIFIED_TAIL = 1000;

/**
 * Reads a log back before writing on it, and refuses one that is not what it says: leaf hashes, sequence, the key
 * history with its signatures, the chain and signatures of the tail, stored checkpoints, stored nodes of the tree. Null for an empty log.
 * (`latchgate verify` checks everything.) Throws `ledger_damaged`.
 */
export function loadLog(db: Database): LoadedLog | null {
  const last = db
    .query<{ seq: number }, []>("SELECT max(seq) AS seq FROM entries HAVING seq IS NOT NULL")
    .get();
  if (last === null) return null;
  const history = loadHistory(db);
  const log = history.log;
  const roots = new Map(
    db
      .query<{ size: number; root: Uint8Array }, []>("SELECT size, root FROM checkpoints")
      .all()
      .map((row) => [row.size, Buffer.from(row.root)]),
  );
  const tree = new CompactTree();
  const nodes = new TreeStore(db);
  /** First entry whose nodes are not stored as they follow from it. */
  let strayNode: number | null = null;
  const vouched = new Map(history.revoked.map(({ size, root }) => [size, root]));
  let head: string | null = null;
  const rows = db.query<{ seq: number; jws: string; hash: Uint8Array }, []>(
    "SELECT seq, jws, hash FROM entries ORDER BY seq",
  );
  for (const { seq, jws, hash } of rows.iterate()) {
    if (seq !== tree.size) throw damaged(tree.size, "an entry is missing");
    const leaf = leafHash(jws);
    if (!leaf.equals(hash)) throw damaged(seq, "the stored hash differs from the entry");
    if (seq > last.seq - VERIFIED_TAIL) {
      const { payload } = openSigned(jws, seq, history.keys);
      if (payload.prev !== head || payload.seq !== seq || payload.log !== log)
        throw damaged(seq, "the entry does not continue the chain");
    }
    head = leaf.toString("hex");
    if (!tree.push(leaf).every((node) => nodes.holds(node))) strayNode ??= seq;
    const root = roots.get(tree.size);
    if (root !== undefined && !tree.root().equals(root))
      throw damaged(seq, "a stored checkpoint has another root");
    roots.delete(tree.size);
    const revoked = vouched.get(tree.size);
    if (revoked !== undefined && revoked !== tree.root().toString("hex"))
      throw damaged(seq, "a key revocation names another history");
  }
  if (head === null || roots.size > 0)
    throw damaged(tree.size, "entries that a checkpoint covers are missing");
  if (strayNode !== null)
    throw damaged(strayNode, "a stored node of the tree does not follow from the entries");
  if (nodes.count() !== interiorNodes(tree.size))
    throw damaged(tree.size, "nodes of the tree are stored that no entry leads to");
  return { log, history: history.keys, tree, head };
}

function damaged(seq: number, what: string): LedgerError {
  return new LedgerError("ledger_damaged", `entry ${seq}: ${what}`, {
    hint: "run latchgate verify on a copy, and do not write to this ledger",
  });
}

function openSigned(
  jws: string,
  seq: number,
  keys: KeyHistory,
): { readonly payload: EntryPayload; readonly signer: string } {
  const opened = openJws(jws);
  if (opened === null) throw damaged(seq, "not a signed entry");
  const payload = readPayload(opened.payload);
  const key = entryKeyAt(keys, opened.kid, seq, payload);
  if (key === null || !verifyJws(opened, key)) throw damaged(seq, "the signature is not valid");
  if (isFault(payload)) throw damaged(seq, payload.detail);
  return { payload, signer: opened.kid };
}

export interface LoadedHistory {
  readonly log: string;
  readonly keys: KeyHistory;
  /** Trees that the recovery key has spoken of; whether the leaves make them is for the caller to see. */
  readonly revoked: readonly { readonly size: number; readonly root: string }[];
}

/** The key history, from the entries that made it. */
export function loadHistory(db: Database): LoadedHistory {
  const rows = db
    .query<{ seq: number; jws: string }, []>(
      "SELECT seq, jws FROM entries WHERE type IN ('log.opened', 'key.rotated', 'key.revoked') OR seq = 0 ORDER BY seq",
    )
    .all();
  const first = rows[0];
  const opening = first === undefined ? null : openJws(first.jws);
  const opened = opening === null ? null : readPayload(opening.payload);
  if (first?.seq !== 0 || opened === null || isFault(opened) || opened.type !== "log.opened")
    throw damaged(0, "the log does not start with its opening");
  const keys = KeyHistory.open(opened.keys);
  if (keys === null) throw damaged(0, "an opening key is not admitted");
  const revoked: { size: number; root: string }[] = [];
  for (const { seq, jws } of rows) {
    const { payload, signer } = openSigned(jws, seq, keys);
    if (payload.type === "key.rotated" && !applyRotation(keys, payload))
      throw damaged(seq, "the key rotation is not valid");
    if (payload.type !== "key.revoked") continue;
    const fault = applyRevocation(keys, signer, payload, null);
    if (fault !== null) throw damaged(seq, fault);
    revoked.push({ size: payload.size, root: payload.root });
  }
  return { log: opened.log, keys, revoked };
}

/** The keys with their validity as a JWK set (RFC 7517): an export for other tools, never an input. */
export function exportKeys(keys: readonly HistoricalKey[]): { keys: Record<string, unknown>[] } {
  return {
    keys: keys.map((key) => ({
      ...key.jwk,
      kid: key.kid,
      use: "sig",
      alg: key.jwk.kty === "OKP" ? "EdDSA" : "ES256",
      "latchgate:purpose": key.purpose,
      "latchgate:valid_from_seq": key.validFromSeq,
      "latchgate:valid_to_seq": key.validToSeq,
      ...(key.standsToSize === null ? {} : { "latchgate:stands_to_size": key.standsToSize }),
    })),
  };
}
