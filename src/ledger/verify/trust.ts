import { existsSync, readFileSync } from "node:fs";
import { isJsonObject, parseJson } from "../../core/json.ts";
import { type Ed25519Jwk, readFingerprint, thumbprint } from "../../keys/jwk.ts";
import { readVkey, type WitnessKey } from "../anchor/cosignature.ts";
import { readCertificates, type TimestampAuthority } from "../anchor/timestamp/authority.ts";
import { LedgerError } from "../errors.ts";

export interface Trust {
  /** Thumbprints of evidence keys that the auditor knows from elsewhere; empty when there are none. */
  readonly fingerprints: ReadonlySet<string>;
  /** The keys themselves, when a JWK set gave them. */
  readonly keys?: readonly TrustedKey[];
}

export interface TrustedKey {
  readonly kid: string;
  readonly jwk: Ed25519Jwk;
  /** `latchgate:purpose` of the key set; null when it does not say. */
  readonly purpose: string | null;
}

/** Reads `--trust`: a fingerprint (`SHA256:` and an RFC 7638 thumbprint), or a file with a JWK set. Throws `trust_unreadable`. */
export function readTrust(text: string | undefined): Trust {
  if (text === undefined) return { fingerprints: new Set(), keys: [] };
  const fingerprint = readFingerprint(text);
  if (fingerprint !== null) return { fingerprints: new Set([fingerprint]), keys: [] };
  const unreadable = (cause?: unknown) =>
    new LedgerError("trust_unreadable", "--trust takes a fingerprint, SHA256:…, or a file with a jwk set", {
      ...(cause === undefined ? {} : { cause }),
    });
  if (!existsSync(text)) throw unreadable();
  try {
    const set = parseJson(readFileSync(text), { bytes: 1_048_576, depth: 8 });
    const keys = isJsonObject(set) ? set.keys : null;
    if (!Array.isArray(keys)) throw unreadable();
    const trusted: TrustedKey[] = [];
    for (const key of keys) {
      const { kty, crv, x, "latchgate:purpose": purpose } = isJsonObject(key) ? key : {};
      if (kty !== "OKP" || crv !== "Ed25519" || typeof x !== "string") continue;
      const jwk = { kty, crv, x } as const;
      trusted.push({ kid: thumbprint(jwk), jwk, purpose: typeof purpose === "string" ? purpose : null });
    }
    if (trusted.length === 0) throw unreadable();
    return { fingerprints: new Set(trusted.map(({ kid }) => kid)), keys: trusted };
  } catch (cause) {
    throw cause instanceof LedgerError ? cause : unreadable(cause);
  }
}

/** Reads `--witness`: a C2SP verifier key, or a file with one on each line. Throws `trust_unreadable`. */
export function readWitnesses(text: string | undefined): readonly WitnessKey[] {
  if (text === undefined) return [];
  const one = readVkey(text);
  if (one !== null) return [one];
  const lines = existsSync(text) ? readFileSync(text, "utf8").split("\n") : [];
  const keys = lines.filter((line) => line !== "").map(readVkey);
  if (keys.length === 0 || keys.includes(null))
    throw new LedgerError(
      "trust_unreadable",
      "--witness takes a c2sp verifier key of type 0x04, or a file with one on each line",
    );
  return keys.filter((key) => key !== null);
}

/** Reads one `--tsa`: a PEM file with the certificates that vouch for a time-stamp authority. Throws `trust_unreadable`. */
export function readAuthority(path: string): TimestampAuthority {
  return { name: path, trusted: readCertificates(path).certificates, policy: null };
}
