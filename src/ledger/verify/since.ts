import type { Database } from "bun:sqlite";
import { KeyHistory } from "../../keys/history.ts";
import { type EntryPayload, isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws } from "../entry/jws.ts";
import { LedgerError } from "../errors.ts";
import { applyRotation } from "../key-rotation.ts";
import type { Anchor } from "./anchors.ts";
import type { LogStart } from "./log-start.ts";
import { DamageLog } from "./report.ts";
import { LogRules } from "./rules.ts";
import { TrustedPrefix } from "./trusted-prefix.ts";

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
 * Where to begin when the first entries are taken on the word of a checkpoint that the auditor has: the stored right
 * edge of their tree must give its root, and every one of them that is read must be proved to be under it. Null when
 * that does not hold, or when what stands beside the entries does not lead to all that is needed: then there is
 * nothing to begin from, and everything has to be checked. An attacker wrote the file, though not what the root covers.
 */
export function startSince(db: Database, since: Anchor, anchors: readonly Anchor[]): LogStart | null {
  if (since.size === 0) return null;
  try {
    return startFrom(db, new TrustedPrefix(db, since), anchors);
  } catch (cause) {
    // A node that is not there: the entries themselves have to tell.
    if (cause instanceof LedgerError && cause.code === "ledger_damaged") return null;
    throw cause;
  }
}

function startFrom(db: Database, prefix: TrustedPrefix, anchors: readonly Anchor[]): LogStart | null {
  const { size } = prefix;
  const tree = prefix.tree();
  const seeds = tree === null ? null : seedsOf(db, prefix);
  const first = seeds?.[0];
  const last = seeds?.at(-1);
  if (tree === null || seeds === null || first?.seq !== 0 || last?.seq !== size - 1) return null;
  const opening = first.payload;
  if (opening.type !== "log.opened") return null;
  const history = KeyHistory.open(opening.keys);
  if (history === null) return null;
  const rules = new LogRules(new DamageLog());
  for (const { payload } of seeds) {
    if (payload.type === "key.rotated" && !applyRotation(history, payload)) return null;
    // What a revoked key signed is judged against the whole tree: then nothing is taken on anybody's word.
    if (payload.type === "key.revoked") return null;
    rules.take(payload);
  }
  // A rotation that was hidden, by its column `type`, would leave a retired key in force: whoever signed the last
  // entry before must be one that the history knows there.
  if (history.evidenceKeyAt(last.kid, size - 1) === null) return null;
  const roots = new Map<number, Buffer>();
  for (const anchor of anchors) {
    const root = anchor.size < size ? prefix.rootAt(anchor.size) : null;
    if (root !== null) roots.set(anchor.size, root);
  }
  return { log: opening.log, tree, head: last.leaf, history, rules, roots };
}

interface Seed {
  readonly seq: number;
  readonly payload: EntryPayload;
  /** Who signed it, by its header. */
  readonly kid: string;
  /** Hex leaf hash. */
  readonly leaf: string;
}

/**
 * Entries before `size` that later ones may refer to, in order: what lasts, the last one, everything of a call that
 * goes on, and grants that are still open. They are found by columns that nobody signed; what is not found is missed
 * where it is referred to, and shows as damage there.
 */
function seedsOf(db: Database, prefix: TrustedPrefix): Seed[] | null {
  const { size } = prefix;
  const lasting = LASTING.map((type) => `'${type}'`).join(", ");
  const rows = db
    .query<{ seq: number; jws: unknown }, [number, number, number, number, number, number]>(
      `SELECT seq, jws FROM entries WHERE seq IN (
         SELECT seq FROM entries WHERE type IN (${lasting}) AND seq < ?
         UNION SELECT 0 UNION SELECT ?
         UNION SELECT seq FROM entries WHERE seq < ? AND trace_id IN
           (SELECT trace_id FROM entries WHERE seq >= ? AND trace_id IS NOT NULL)
         UNION SELECT seq FROM grants WHERE receipt_id IS NULL AND seq < ?
       ) AND seq < ? ORDER BY seq`,
    )
    .all(size, size - 1, size, size, size, size);
  const seeds: Seed[] = [];
  for (const { seq, jws } of rows) {
    const opened = typeof jws === "string" ? openJws(jws) : null;
    if (opened === null || typeof jws !== "string" || !prefix.holds(seq, jws)) return null;
    const payload = readPayload(opened.payload);
    if (isFault(payload)) return null;
    seeds.push({ seq, payload, kid: opened.kid, leaf: leafHash(jws).toString("hex") });
  }
  return seeds;
}
