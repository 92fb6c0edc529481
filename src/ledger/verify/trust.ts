import { existsSync, readFileSync } from "node:fs";
import { isJsonObject, parseJson } from "../../core/json.ts";
import { thumbprint } from "../../keys/jwk.ts";
import { LedgerError } from "../errors.ts";
import type { Trust } from "./log-verifier.ts";

const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/;

/** Reads `--trust`: a fingerprint (RFC 7638 thumbprint), or a file with a JWK set. Throws `trust_unreadable`. */
export function readTrust(text: string | undefined): Trust {
  if (text === undefined) return { fingerprints: new Set() };
  if (FINGERPRINT.test(text)) return { fingerprints: new Set([text]) };
  const unreadable = (cause?: unknown) =>
    new LedgerError("trust_unreadable", "--trust takes a fingerprint of 43 characters or a file with a jwk set", {
      ...(cause === undefined ? {} : { cause }),
    });
  if (!existsSync(text)) throw unreadable();
  try {
    const set = parseJson(readFileSync(text), { bytes: 1_048_576, depth: 8 });
    const keys = isJsonObject(set) ? set["keys"] : null;
    if (!Array.isArray(keys)) throw unreadable();
    const fingerprints = new Set<string>();
    for (const key of keys) {
      const { kty, crv, x } = isJsonObject(key) ? key : {};
      if (kty === "OKP" && crv === "Ed25519" && typeof x === "string") fingerprints.add(thumbprint({ kty, crv, x }));
    }
    if (fingerprints.size === 0) throw unreadable();
    return { fingerprints };
  } catch (cause) {
    throw cause instanceof LedgerError ? cause : unreadable(cause);
  }
}
