import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type DerReader, type Element, malformed, oidOf, sequence, TAG } from "./der.ts";

export type HashName = "sha1" | "sha256" | "sha384" | "sha512";

/** Hashes that a signature or an imprint may be over (RFC 5754 §2). SHA-1 is not among them. */
const HASHES: Readonly<Record<string, HashName>> = {
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
};

interface SignatureKind {
  readonly key: "rsa" | "ec";
  /** Null for `rsaEncryption`, which leaves it to the digest algorithm beside it (RFC 5754 §3.2). */
  readonly hash: HashName | null;
}

/** PKCS#1 v1.5 (RFC 8017 §8.2) and ECDSA (RFC 5758 §3.2). */
const SIGNATURES: Readonly<Record<string, SignatureKind>> = {
  "1.2.840.113549.1.1.1": { key: "rsa", hash: null },
  "1.2.840.113549.1.1.11": { key: "rsa", hash: "sha256" },
  "1.2.840.113549.1.1.12": { key: "rsa", hash: "sha384" },
  "1.2.840.113549.1.1.13": { key: "rsa", hash: "sha512" },
  "1.2.840.10045.4.3.2": { key: "ec", hash: "sha256" },
  "1.2.840.10045.4.3.3": { key: "ec", hash: "sha384" },
  "1.2.840.10045.4.3.4": { key: "ec", hash: "sha512" },
};

/** NIST curves of at least 128 bits of strength, as the runtime calls them. */
const CURVES: ReadonlySet<string | undefined> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
/** Below it is weak; above it a stranger's certificate could keep the thread busy. */
const RSA_BITS = { least: 2048, most: 8192 } as const;

/** The identifier of an AlgorithmIdentifier whose parameters are absent or NULL, as those taken here have them. */
export function identifier(element: Element): string {
  const reader = sequence(element);
  const id = oidOf(reader.next(TAG.oid));
  if (reader.optional(TAG.null)?.content.length) malformed("a null with content");
  reader.end();
  return id;
}

/** Throws `timestamp_malformed` for one that is not taken. */
export function hashOf(element: Element): HashName {
  const id = identifier(element);
  return HASHES[id] ?? malformed(`the hash ${id} is not taken`);
}

/** A hash with a default: when the element is there, it says which. */
export function optionalHash(reader: DerReader, fallback: HashName): HashName {
  const element = reader.optional(TAG.sequence);
  return element === null ? fallback : hashOf(element);
}

export function digest(hash: HashName, bytes: Uint8Array): Buffer {
  return createHash(hash).update(bytes).digest();
}

/**
 * Whether the key signed these bytes. False too for an algorithm, a key or a curve that is not taken.
 * @param algorithm its AlgorithmIdentifier
 * @param hash of the digest algorithm beside it, which it must agree with; null when nothing stands beside it
 * @param spki the public key as SubjectPublicKeyInfo
 */
export function signedBy(
  spki: Buffer,
  algorithm: Element,
  hash: HashName | null,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  const kind = SIGNATURES[identifier(algorithm)];
  const used = kind?.hash ?? hash;
  if (kind === undefined || used === null || (hash !== null && used !== hash)) return false;
  try {
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    return key.asymmetricKeyType === kind.key && strong(key) && verify(used, bytes, key, signature);
  } catch {
    // Not a key that the runtime knows, or not a signature that it can read: nobody signed with it.
    return false;
  }
}

function strong(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType !== "rsa") return CURVES.has(details?.namedCurve);
  const bits = details?.modulusLength ?? 0;
  return bits >= RSA_BITS.least && bits <= RSA_BITS.most;
}
