import { type Cosignature, readVkey, verifyCosignature } from "../../ledger/anchor/cosignature.ts";
import { parseCheckpoint } from "../../ledger/checkpoint.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { readMeta, writeMeta } from "./state.ts";

export interface CosignatureInput {
  /** Of the checkpoint. */
  readonly size: number;
  /** The signature line of one witness. */
  readonly line: string;
  /** Verifier keys of the configured witnesses. */
  readonly vkeys: readonly string[];
  readonly quorum: number;
}

/**
 * Keeps a cosignature, and says `checkpoint.anchored` once a quorum of configured witnesses has cosigned. This is the
 * only place that says so, and it verifies every line itself: neither the caller nor the table is believed.
 */
export function recordCosignature(
  tx: LedgerTransaction,
  { size, line, vkeys, quorum }: CosignatureInput,
): "anchored" | "recorded" | "unverified" {
  const row = tx.db
    .query<{ note: string }, [number]>("SELECT note FROM checkpoints WHERE size = ?")
    .get(size);
  const parsed = row === null ? null : parseCheckpoint(row.note);
  if (parsed === null || parsed.checkpoint.size !== size) return "unverified";
  const witnesses = vkeys.flatMap((vkey) => readVkey(vkey) ?? []);
  const verified = (text: string): Cosignature[] =>
    witnesses.flatMap((witness) => verifyCosignature(parsed.text, text, witness) ?? []);
  const [cosignature] = verified(line);
  if (cosignature === undefined) return "unverified";
  tx.db
    .query(
      "INSERT OR REPLACE INTO cosignatures (size, witness, public_key, timestamp, line) VALUES (?, ?, ?, ?, ?)",
    )
    .run(size, cosignature.witness, cosignature.publicKey, cosignature.timestamp, line);
  const stored = tx.db
    .query<{ line: string }, [number]>("SELECT line FROM cosignatures WHERE size = ? ORDER BY rowid")
    .all(size);
  const byKey = new Map(
    stored.flatMap((kept) => verified(kept.line)).map((kept) => [kept.publicKey, kept] as const),
  );
  const said = Number(readMeta(tx.db, "anchored_size") ?? "-1");
  if (byKey.size < Math.max(1, quorum) || size <= said) return "recorded";
  writeMeta(tx.db, "anchored_size", String(size));
  tx.append("checkpoint.anchored", {
    size,
    root: parsed.checkpoint.root.toString("hex"),
    quorum,
    cosignatures: [...byKey.values()].map(({ witness, publicKey, timestamp, signature }) => ({
      witness,
      public_key: publicKey,
      timestamp,
      signature,
    })),
  });
  return "anchored";
}
