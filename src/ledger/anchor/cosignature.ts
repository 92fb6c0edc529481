import { type KeyObject, verify } from "node:crypto";
import { fromBase64, fromBase64url, sha256 } from "../../core/bytes.ts";
import { admitEd25519 } from "../../keys/admission.ts";
import { checkpointText } from "../checkpoint.ts";
import type { EntryBody } from "../entry/types.ts";

/** A witness as whoever relies on it has configured it: C2SP signed-note verifier key of type 0x04. */
export interface WitnessKey {
  readonly name: string;
  readonly key: KeyObject;
  /** Raw Ed25519 key as base64url. */
  readonly x: string;
  /** First four bytes of SHA-256(name ‖ LF ‖ 0x04 ‖ key), as signature lines carry it. */
  readonly id: Buffer;
}

/** A cosignature that was verified. */
export interface Cosignature {
  readonly witness: string;
  /** Raw Ed25519 key as base64url. */
  readonly publicKey: string;
  /** Seconds since the epoch, as the witness says. */
  readonly timestamp: number;
  /** Raw, as base64url. */
  readonly signature: string;
  /** The signature line without its end. */
  readonly line: string;
}

/** C2SP tlog-cosignature: `cosignature/v1` with Ed25519. */
const COSIGNATURE_V1 = Uint8Array.of(0x04);

/** Reads `<name>+<key id>+<base64 of 0x04 and key>`; null when it is anything else, or the key is not admitted. */
export function readVkey(text: string): WitnessKey | null {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text);
  const [, name, id, encoded] = match ?? [];
  if (name === undefined || id === undefined || encoded === undefined) return null;
  const bytes = fromBase64(encoded);
  if (bytes?.length !== 33 || bytes[0] !== COSIGNATURE_V1[0]) return null;
  const raw = bytes.subarray(1);
  const expected = sha256(name, "\n", COSIGNATURE_V1, raw).subarray(0, 4);
  const x = raw.toString("base64url");
  const key = admitEd25519({ kty: "OKP", crv: "Ed25519", x });
  return key === null || expected.toString("hex") !== id ? null : { name, key, x, id: expected };
}

function signs(text: string, timestamp: number | bigint, key: KeyObject, signature: Uint8Array): boolean {
  return verify(null, Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`), key, signature);
}

/**
 * The cosignature in a signature line, when it is this witness's over this very text; null for every other line.
 * An attacker controls the line.
 * @param text the checkpoint's note text, through its last line end
 * @param latest seconds since the epoch; what claims to be later is refused
 */
export function verifyCosignature(
  text: string,
  line: string,
  witness: WitnessKey,
  latest = Number.MAX_SAFE_INTEGER,
): Cosignature | null {
  const match = /^— (\S+) ([A-Za-z0-9+/=]+)$/.exec(line);
  const blob = match?.[2] === undefined ? null : fromBase64(match[2]);
  if (match?.[1] !== witness.name || blob?.length !== 4 + 8 + 64) return null;
  if (!blob.subarray(0, 4).equals(witness.id)) return null;
  const timestamp = blob.readBigUInt64BE(4);
  const signature = blob.subarray(12);
  if (timestamp > BigInt(latest) || !signs(text, timestamp, witness.key, signature)) return null;
  return {
    witness: witness.name,
    publicKey: witness.x,
    timestamp: Number(timestamp),
    signature: signature.toString("base64url"),
    line,
  };
}

export type Anchored = EntryBody<"checkpoint.anchored">;
type Signed = Anchored["cosignatures"][number];
type Cosigned = Extract<Signed, { readonly public_key: string }>;

/** The text that what others signed in an entry is over. */
export function anchoredText(origin: string, { size, root }: Anchored): string {
  return checkpointText({ origin, size, root: Buffer.from(root, "hex") });
}

/** Those of an entry that witnesses made; the others are time stamps. */
function cosignaturesOf(anchored: Anchored): readonly Cosigned[] {
  return anchored.cosignatures.filter((one): one is Cosigned => "public_key" in one);
}

/** Whether each cosignature of the entry is that of the key it names; says nothing about whose key that is. */
export function cosignaturesHold(origin: string, anchored: Anchored): boolean {
  const text = anchoredText(origin, anchored);
  return cosignaturesOf(anchored).every(({ public_key, timestamp, signature }) => {
    const key = admitEd25519({ kty: "OKP", crv: "Ed25519", x: public_key });
    const bytes = fromBase64url(signature);
    return key !== null && bytes !== null && signs(text, timestamp, key, bytes);
  });
}

/** Those of these witnesses whose cosignature the entry carries, verified under the key that is configured for them. */
export function cosignedBy(
  origin: string,
  anchored: Anchored,
  witnesses: readonly WitnessKey[],
): readonly WitnessKey[] {
  const text = anchoredText(origin, anchored);
  return witnesses.filter(({ x, key }) =>
    cosignaturesOf(anchored).some(({ public_key, timestamp, signature }) => {
      const bytes = fromBase64url(signature);
      return public_key === x && bytes !== null && signs(text, timestamp, key, bytes);
    }),
  );
}
