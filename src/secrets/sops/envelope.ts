import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { fromBase64 } from "../../core/bytes.ts";
import { damaged } from "../errors.ts";
import { goFloat } from "./go-scalar.ts";

/** SOPS writes nonces of 32 bytes, longer than the 12 that GCM is usually given. */
const NONCE_BYTES = 32;
const TAG_BYTES = 16;
const FORM =
  /^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$/;

/** Whether a text claims to be an encrypted value. */
export function looksEncrypted(text: string): boolean {
  return text.startsWith("ENC[AES256_GCM,");
}

/** The additional data that binds a value to its place: the keys above it, without list indexes. */
export function placeOf(path: readonly string[]): string {
  return `${path.join(":")}:`;
}

/**
 * Decrypts one `ENC[AES256_GCM,…]` text (an attacker may have written it). The bytes are in the form that SOPS hashes,
 * whatever type the envelope claims, for the claim is not authenticated. The caller overwrites them.
 * Throws `secrets_damaged`.
 */
export function open(envelope: string, dataKey: Uint8Array, place: string): Buffer {
  const { bytes, type } = unseal(envelope, dataKey, place);
  const canonical = CANONICAL[type];
  if (canonical === undefined) {
    bytes.fill(0);
    throw damaged("a value of a type that is not known");
  }
  if (canonical === "bytes") return bytes;
  const text = bytes.toString("utf8");
  bytes.fill(0);
  const same = canonical(text);
  if (same === null) throw damaged("a value that is not of its type");
  return Buffer.from(same, "utf8");
}

/** As {@link open} for a comment, whose text enters no MAC; null when it was not encrypted for this place. */
export function openComment(envelope: string, dataKey: Uint8Array, place: string): Buffer | null {
  try {
    const { bytes, type } = unseal(envelope, dataKey, place);
    if (type === "comment") return bytes;
    bytes.fill(0);
    return null;
  } catch {
    return null;
  }
}

/** The type that an envelope claims; null when the text is none. */
export function claimedType(envelope: string): string | null {
  return FORM.exec(envelope)?.[4] ?? null;
}

/** Encrypts under a fresh nonce. An empty value stays empty, as SOPS has it. */
export function seal(plaintext: Uint8Array, dataKey: Uint8Array, place: string, type = "str"): string {
  if (plaintext.length === 0) return "";
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", dataKey, nonce);
  cipher.setAAD(Buffer.from(place, "utf8"));
  const data = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const parts = [data, nonce, cipher.getAuthTag()].map((part) => part.toString("base64"));
  return `ENC[AES256_GCM,data:${parts[0]},iv:${parts[1]},tag:${parts[2]},type:${type}]`;
}

function unseal(envelope: string, dataKey: Uint8Array, place: string): { bytes: Buffer; type: string } {
  const match = FORM.exec(envelope);
  const [data, nonce, tag] = [match?.[1], match?.[2], match?.[3]].map((part) => fromBase64(part ?? "!"));
  if (!data || !nonce || !tag) throw damaged("a value that is not encrypted");
  if (nonce.length !== NONCE_BYTES || tag.length !== TAG_BYTES)
    throw damaged("a nonce or tag of another length");
  const decipher = createDecipheriv("aes-256-gcm", dataKey, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(place, "utf8"));
  decipher.setAuthTag(tag);
  const bytes = decipher.update(data);
  try {
    decipher.final();
  } catch {
    bytes.fill(0);
    throw damaged("a value was changed, or moved from its place");
  }
  return { bytes, type: match?.[4] ?? "" };
}

const TRUE = /^(?:1|t|T|TRUE|true|True)$/;
const FALSE = /^(?:0|f|F|FALSE|false|False)$/;

/** How Go reads each type and writes it again into the MAC. */
const CANONICAL: Readonly<Record<string, "bytes" | ((text: string) => string | null)>> = {
  str: "bytes",
  bytes: "bytes",
  int: (text) => (/^[-+]?[0-9]{1,20}$/.test(text) ? BigInt(text).toString() : null),
  float: (text) => (/^[-+0-9.eE]+$/.test(text) && text.trim() !== "" ? goFloat(Number(text)) : null),
  bool: (text) => (TRUE.test(text) ? "True" : FALSE.test(text) ? "False" : null),
  time: (text) => (/^[0-9T:Z.+-]+$/.test(text) ? text : null),
};
