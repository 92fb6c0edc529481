import { fromBase64 } from "../../core/bytes.ts";
import { type Checkpoint, parseCheckpoint } from "../checkpoint.ts";
import { leafHash } from "../entry/jws.ts";
import { verifyInclusion } from "./inclusion.ts";

/** C2SP tlog-proof: one entry, where it is, and the checkpoint that covers it. */
export interface TlogProof {
  /** The compact JWS of the entry, as the proof's extra data; the leaf hash is computed from it. */
  readonly jws: string;
  readonly index: number;
  /** Inclusion path, lowest first. */
  readonly path: readonly Uint8Array[];
  /** The signed note, cosignatures included, verbatim. */
  readonly note: string;
}

const HEADER = "c2sp.org/tlog-proof@v1";

export function formatProof({ jws, index, path, note }: TlogProof): string {
  const hashes = path.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("");
  return `${HEADER}\nextra ${Buffer.from(jws).toString("base64")}\nindex ${index}\n${hashes}\n${note}`;
}

/**
 * Reads a proof whose path leads from its own entry to its own checkpoint; null for anything else. Whether the
 * checkpoint and the entry are signed by a key that the reader trusts is not checked here. An attacker controls all
 * of it.
 */
export function readProof(
  text: string,
): { readonly proof: TlogProof; readonly checkpoint: Checkpoint } | null {
  const end = text.indexOf("\n\n");
  if (end < 0) return null;
  const [header, extra, index, ...lines] = text.slice(0, end).split("\n");
  const note = text.slice(end + 2);
  const checkpoint = parseCheckpoint(note)?.checkpoint;
  if (header !== HEADER || checkpoint === undefined) return null;
  const bytes = extra?.startsWith("extra ") ? fromBase64(extra.slice(6)) : null;
  const position = /^index (0|[1-9][0-9]{0,15})$/.exec(index ?? "")?.[1];
  if (bytes === null || position === undefined || lines.length > 63) return null;
  const path = lines.map(fromBase64);
  if (!path.every((hash) => hash !== null && hash.length === 32)) return null;
  const jws = bytes.toString("ascii");
  // Only ASCII is an entry, so that no two texts stand for one.
  if (!Buffer.from(jws).equals(bytes)) return null;
  const proof = { jws, index: Number(position), path: path.filter((hash) => hash !== null), note };
  return verifyInclusion(leafHash(jws), proof.index, checkpoint.size, proof.path, checkpoint.root)
    ? { proof, checkpoint }
    : null;
}
