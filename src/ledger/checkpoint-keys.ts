import type { Database } from "bun:sqlite";
import { fromBase64url } from "../core/bytes.ts";
import type { HistoricalKey, KeyHistory } from "../keys/history.ts";
import { checkpointOrigin, cosignCheckpoint, signCheckpoint } from "./checkpoint.ts";
import type { Keyring } from "./keyring.ts";

/** For how long a replaced checkpoint key goes on signing beside the new one. */
export interface Overlap {
  readonly db: Database;
  /** Milliseconds. */
  readonly now: number;
  readonly overlapMs: number;
}

/**
 * Checkpoint keys that were replaced, not revoked, less than the overlap ago: those who pinned one of them go on
 * verifying checkpoints until they have taken over the new one.
 */
export function overlappingKeys(history: KeyHistory, { db, now, overlapMs }: Overlap): HistoricalKey[] {
  const time = db.query<{ time_ms: number }, [number]>("SELECT time_ms FROM entries WHERE seq = ?");
  return history.all().filter(({ purpose, validToSeq, standsToSize }) => {
    if (purpose !== "checkpoint" || validToSeq === null || standsToSize !== null || overlapMs === 0)
      return false;
    const replaced = time.get(validToSeq)?.time_ms;
    // A clock that went back must not bring a key back: its file is gone by then.
    return replaced !== undefined && now - replaced < overlapMs;
  });
}

/** Signs a checkpoint by the key in force, then by those that overlap with it and still have their file. */
export function signWithCheckpointKeys(
  log: string,
  tree: { readonly size: number; readonly root: Buffer },
  history: KeyHistory,
  keyring: Keyring,
  overlap: Overlap,
): string {
  const current = history.current("checkpoint");
  const checkpoint = { origin: checkpointOrigin(log), ...tree };
  const first = signCheckpoint(checkpoint, keyring.load("checkpoint", current.kid), rawKey(current));
  return overlappingKeys(history, overlap)
    .filter(({ kid }) => keyring.has("checkpoint", kid))
    .reduce((note, key) => cosignCheckpoint(note, keyring.load("checkpoint", key.kid), rawKey(key)), first);
}

function rawKey({ jwk }: HistoricalKey): Uint8Array {
  const raw = jwk.kty === "OKP" ? fromBase64url(jwk.x) : null;
  if (raw === null) throw new TypeError("a checkpoint key is an ed25519 key"); // the history admits no other
  return raw;
}
