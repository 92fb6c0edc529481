import { fromBase64 } from "../../core/bytes.ts";
import { type Checkpoint, parseCheckpoint } from "../checkpoint.ts";
import { verifyConsistency } from "./consistency.ts";

/** That the log of one checkpoint is the beginning of the log of another, with nothing else at hand. */
export interface ConsistencyProof {
  /** The signed notes, cosignatures included, verbatim. */
  readonly older: string;
  readonly newer: string;
  /** RFC 6962 §2.1.2, in its order. */
  readonly path: readonly Uint8Array[];
}

export const CONSISTENCY_HEADER = "latchgate/tlog-consistency@v1";

/** The header, one hash a line, and after an empty line each: the older note, the newer note. */
export function formatConsistency({ older, newer, path }: ConsistencyProof): string {
  const hashes = path.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("");
  return `${CONSISTENCY_HEADER}\n${hashes}\n${older}\n${newer}`;
}

/**
 * Reads a proof whose path leads from its older checkpoint to its newer one; null for anything else. Whose they are is not
 * checked here. An attacker controls all of it.
 */
export function readConsistency(
  text: string,
): { readonly proof: ConsistencyProof; readonly older: Checkpoint; readonly newer: Checkpoint } | null {
  // A note is a text and its signatures with an empty line between.
  const [head = "", olderText, olderLines, newerText, newerLines, ...rest] = text.split("\n\n");
  if (rest.length > 0 || newerLines === undefined) return null;
  const [header, ...lines] = head.split("\n");
  const proof = {
    older: `${olderText}\n\n${olderLines}\n`,
    newer: `${newerText}\n\n${newerLines}`,
    path: lines.flatMap((line) => fromBase64(line) ?? []),
  };
  const [older, newer] = [parseCheckpoint(proof.older)?.checkpoint, parseCheckpoint(proof.newer)?.checkpoint];
  if (header !== CONSISTENCY_HEADER || proof.path.length !== lines.length) return null;
  if (older === undefined || newer === undefined || older.origin !== newer.origin) return null;
  return verifyConsistency(older.size, newer.size, older.root, newer.root, proof.path)
    ? { proof, older, newer }
    : null;
}
