import type { Database } from "bun:sqlite";
import { KeyHistory } from "../../keys/history.ts";
import { type EntryPayload, isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws } from "../entry/jws.ts";
import { applyRotation } from "../key-rotation.ts";
import { CompactTree } from "../tree.ts";
import type { Anchor } from "./anchors.ts";
import type { LogStart } from "./log-verifier.ts";
import { DamageLog } from "./report.ts";
import { LogRules } from "./rules.ts";

/** Entries before that later ones build on wherever they are: who may sign, and under which epoch and policy. */
const LASTING = [
  "log.opened",
  "key.rotated",
  "key.revoked",
  "revocation",
  "policy.changed",
  "operators.loaded",
] as const;

/**
 * Where to begin when the first entries are taken on the word of a checkpoint that the auditor has: their stored leaf
 * hashes must give its root, and every one of them that is read must have its leaf hash. Null when that does not hold,
 * or when what stands beside the entries does not lead to all that is needed: then there is nothing to begin from,
 * and everything has to be checked. An attacker wrote the file, though not what the root covers.
 */
export function startSince(db: Database, since: Anchor, anchors: readonly Anchor[]): LogStart | null {
  const before = leavesBefore(db, since.size, anchors);
  if (before === null || !before.tree.root().equals(since.root)) return null;
  const seeds = seedsOf(db, since.size);
  const first = seeds?.[0];
  if (seeds === null || first?.type !== "log.opened" || first.seq !== 0) return null;
  const history = KeyHistory.open(first.keys);
  if (history === null) return null;
  const rules = new LogRules(new DamageLog());
  for (const entry of seeds) {
    if (entry.type === "key.rotated" && !applyRotation(history, entry)) return null;
    // What a revoked key signed is judged against the whole tree: then nothing is taken on anybody's word.
    if (entry.type === "key.revoked") return null;
    rules.take(entry);
  }
  // A rotation that was hidden, by its column `type`, would leave a retired key in force: whoever signed the last
  // entry before must be one that the history knows there.
  if (history.evidenceKeyAt(before.lastSigner, since.size - 1) === null) return null;
  return { log: first.log, tree: before.tree, head: before.head, history, rules, roots: before.roots };
}

interface Before {
  readonly tree: CompactTree;
  readonly head: string;
  /** Who signed the last of them, by its header. */
  readonly lastSigner: string;
  /** Roots at the sizes of anchors. */
  readonly roots: ReadonlyMap<number, Buffer>;
}

/** Leaf hashes that are read at once. */
const CHUNK = 4096;

/** As one text, which takes a sixth of the time of as many rows. What is no hash shifts the others, and the root. */
function storedHashes(db: Database, from: number, to: number): Buffer[] | null {
  const hex = db
    .query<{ all_hashes: unknown }, [number, number]>(
      `SELECT group_concat(hex(hash), '') AS all_hashes FROM
         (SELECT hash FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq)`,
    )
    .get(from, to)?.all_hashes;
  if (typeof hex !== "string" || hex.length !== 64 * (to - from)) return null;
  const bytes = Buffer.from(hex, "hex");
  return Array.from({ length: to - from }, (_, i) => bytes.subarray(32 * i, 32 * (i + 1)));
}

function leavesBefore(db: Database, size: number, anchors: readonly Anchor[]): Before | null {
  const place = db
    .query<{ first: unknown; last: unknown; n: unknown }, [number]>(
      "SELECT min(seq) AS first, max(seq) AS last, count(*) AS n FROM entries WHERE seq < ?",
    )
    .get(size);
  if (size === 0 || place?.first !== 0 || place.last !== size - 1 || place.n !== size) return null;
  const last = db
    .query<{ jws: unknown; hash: unknown }, [number]>("SELECT jws, hash FROM entries WHERE seq = ?")
    .get(size - 1);
  const signer = typeof last?.jws === "string" ? openJws(last.jws) : null;
  if (signer === null || typeof last?.jws !== "string") return null;
  const head = leafHash(last.jws);
  if (!(last.hash instanceof Uint8Array) || !head.equals(last.hash)) return null;
  // Every page of the file has a hash to read: mapped, they need not be copied. A mapped page is not memory of ours.
  db.run("PRAGMA mmap_size = 68719476736");
  const sizes = new Set(anchors.map((anchor) => anchor.size));
  const roots = new Map<number, Buffer>();
  const tree = new CompactTree();
  for (let from = 0; from < size; from += CHUNK) {
    const leaves = storedHashes(db, from, Math.min(from + CHUNK, size));
    if (leaves === null) return null;
    for (const leaf of leaves) {
      tree.push(leaf);
      if (sizes.has(tree.size)) roots.set(tree.size, tree.root());
    }
  }
  return { tree, head: head.toString("hex"), lastSigner: signer.kid, roots };
}

/**
 * Entries before `size` that later ones may refer to, in order: what lasts, the last one, everything of a call that
 * goes on, and grants that are still open. They are found by columns that nobody signed; what is not found is missed
 * where it is referred to, and shows as damage there.
 */
function seedsOf(db: Database, size: number): EntryPayload[] | null {
  const lasting = LASTING.map((type) => `'${type}'`).join(", ");
  const rows = db
    .query<{ jws: unknown; hash: unknown }, [number, number, number, number, number, number]>(
      `SELECT jws, hash FROM entries WHERE seq IN (
         SELECT seq FROM entries WHERE type IN (${lasting}) AND seq < ?
         UNION SELECT 0 UNION SELECT ?
         UNION SELECT seq FROM entries WHERE seq < ? AND trace_id IN
           (SELECT trace_id FROM entries WHERE seq >= ? AND trace_id IS NOT NULL)
         UNION SELECT seq FROM grants WHERE receipt_id IS NULL AND seq < ?
       ) AND seq < ? ORDER BY seq`,
    )
    .all(size, size - 1, size, size, size, size);
  const seeds: EntryPayload[] = [];
  for (const { jws, hash } of rows) {
    const opened = typeof jws === "string" ? openJws(jws) : null;
    if (opened === null || typeof jws !== "string" || !(hash instanceof Uint8Array)) return null;
    const payload = leafHash(jws).equals(hash) ? readPayload(opened.payload) : null;
    if (payload === null || isFault(payload)) return null;
    seeds.push(payload);
  }
  return seeds;
}
