import { existsSync, readFileSync } from "node:fs";
import { isJsonObject, parseJson } from "../../core/json.ts";
import { readFingerprint, thumbprint } from "../../keys/jwk.ts";
import { readVkey, type WitnessKey } from "../anchor/cosignature.ts";
import { LedgerError } from "../errors.ts";
import type { Trust } from "./log-verifier.ts";

/** Reads `--trust`: a fingerprint (`SHA256:` and an RFC 7638 thumbprint), or a file with a JWK set. Throws `trust_unreadable`. */
export function readTrust(text: string | undefined): Trust {
  if (text === undefined) return { fingerprints: new Set() };
  const fingerprint = readFingerprint(text);
  if (fingerprint !== null) return { fingerprints: new Set([fingerprint]) };
  const unreadable = (cause?: unknown) =>
    new LedgerError("trust_unreadable", "--trust takes a fingerprint, SHA256:…, or a file with a jwk set", {
      ...(cause === undefined ? {} : { cause }),
    });
  if (!existsSync(text)) throw unreadable();
  try {
    const set = parseJson(readFileSync(text), { bytes: 1_048_576, depth: 8 });
    const keys = isJsonObject(set) ? set.keys : null;
    if (!Array.isArray(keys)) throw unreadable();
    const fingerprints = new Set<string>();
    for (const key of keys) {
      const { kty, crv, x } = isJsonObject(key) ? key : {};
      if (kty === "OKP" && crv === "Ed25519" && typeof x === "string")
        fingerprints.add(thumbprint({ kty, crv, x }));
    }
    if (fingerprints.size === 0) throw unreadable();
    return { fingerprints };
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
