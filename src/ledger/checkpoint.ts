import { type KeyObject, sign, verify } from "node:crypto";
import { fromBase64, sha256 } from "../core/bytes.ts";

/** A C2SP tlog-checkpoint: origin, size, root, in a C2SP signed note. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/** The origin line and key name of a log's checkpoints. */
export function checkpointOrigin(log: string): string {
  return `latchgate/${log}`;
}

/** The text that signatures, cosignatures and time stamps of a checkpoint are over. */
export function checkpointText(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${checkpoint.root.toString("base64")}\n`;
}

const ED25519 = Uint8Array.of(0x01);

/** C2SP signed-note key id: the first four bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ public key). */
function keyId(name: string, publicKey: Uint8Array): Buffer {
  return sha256(name, "\n", ED25519, publicKey).subarray(0, 4);
}

/** Signs a checkpoint as a note. `publicKey` is the raw 32 bytes of the key that signs. */
export function signCheckpoint(checkpoint: Checkpoint, key: KeyObject, publicKey: Uint8Array): string {
  const text = checkpointText(checkpoint);
  const blob = Buffer.concat([keyId(checkpoint.origin, publicKey), sign(null, Buffer.from(text), key)]);
  return `${text}\n— ${checkpoint.origin} ${blob.toString("base64")}\n`;
}

/** Adds the signature of a further key of the log, for those who still know that one. */
export function cosignCheckpoint(note: string, key: KeyObject, publicKey: Uint8Array): string {
  const parsed = parseCheckpoint(note);
  if (parsed === null) throw new TypeError("not a checkpoint");
  const [, line] = signCheckpoint(parsed.checkpoint, key, publicKey).split("\n\n");
  return `${note}${line}`;
}

/** Reads a note; null when it is not a checkpoint in canonical form. Signatures are not checked here. */
export function parseCheckpoint(
  note: string,
): { checkpoint: Checkpoint; text: string; signatures: readonly { name: string; blob: Buffer }[] } | null {
  const split = note.indexOf("\n\n");
  if (split < 0 || !note.endsWith("\n")) return null;
  const text = note.slice(0, split + 1);
  const [origin, size, root, ...rest] = text.split("\n");
  if (origin === undefined || origin === "" || root === undefined || rest.length !== 1 || rest[0] !== "")
    return null;
  const bytes = fromBase64(root);
  if (size === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(size) || bytes?.length !== 32) return null;
  const signatures: { name: string; blob: Buffer }[] = [];
  for (const line of note.slice(split + 2, -1).split("\n")) {
    const match = /^— (\S+) ([A-Za-z0-9+/=]+)$/.exec(line);
    const blob = match?.[2] === undefined ? null : fromBase64(match[2]);
    if (match?.[1] === undefined || blob === null || blob.length < 5) return null;
    signatures.push({ name: match[1], blob });
  }
  return { checkpoint: { origin, size: Number(size), root: bytes }, text, signatures };
}

/** Whether the note carries a valid signature of this key under its own origin. */
export function checkpointSignedBy(note: string, key: KeyObject, publicKey: Uint8Array): boolean {
  const parsed = parseCheckpoint(note);
  if (parsed === null) return false;
  const id = keyId(parsed.checkpoint.origin, publicKey);
  return parsed.signatures.some(
    ({ name, blob }) =>
      name === parsed.checkpoint.origin &&
      blob.subarray(0, 4).equals(id) &&
      verify(null, Buffer.from(parsed.text), key, blob.subarray(4)),
  );
}
