import { readFileSync, statSync } from "node:fs";
import { sha256Hex } from "../../../core/bytes.ts";
import { LedgerError } from "../../errors.ts";
import { type Certificate, chainsTo, readPem } from "./certificate.ts";
import { readToken, stamps, type TimestampToken } from "./token.ts";

/** A time-stamp authority as whoever relies on it knows it. */
export interface TimestampAuthority {
  readonly name: string;
  /** Certificates of which one must stand at the end of its chain. */
  readonly trusted: readonly Certificate[];
  /** Dotted object identifier that its tokens must name; null for any. */
  readonly policy: string | null;
}

const LARGEST_FILE = 1_048_576;

/** Reads a PEM file with certificates. Throws `trust_unreadable`. */
export function readCertificates(path: string): {
  readonly pem: string;
  readonly certificates: readonly Certificate[];
} {
  try {
    if (statSync(path).size > LARGEST_FILE) throw new RangeError(`more than ${LARGEST_FILE} bytes`);
    const pem = readFileSync(path, "utf8");
    return { pem, certificates: readPem(pem) };
  } catch (cause) {
    throw new LedgerError("trust_unreadable", `${path} holds no certificates in pem that can be relied on`, {
      cause,
    });
  }
}

/** The token when it can be read and stamps this text; null otherwise. Says nothing about whose it is. */
export function tokenOver(text: string, token: Buffer): TimestampToken | null {
  try {
    const read = readToken(token);
    return stamps(read, text) ? read : null;
  } catch (error) {
    if (error instanceof LedgerError) return null;
    throw error;
  }
}

/** Whether a token that was read is this authority's: under its policy, and by a chain to a certificate that is trusted. */
export function isOf({ trusted, policy }: TimestampAuthority, token: TimestampToken): boolean {
  return (
    (policy === null || token.policy === policy) && chainsTo(trusted, token.signer, token.others, token.time)
  );
}

/** `sha256:` and the hex hash of the signer's certificate, as entries have it. */
export function certificateDigest({ der }: Certificate): string {
  return `sha256:${sha256Hex(der)}`;
}

/** Who signed, as its certificate says; believed only as far as the chain is. */
export function signerName({ signer }: TimestampToken): string {
  return signer.commonName ?? certificateDigest(signer);
}
