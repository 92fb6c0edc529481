import { LatchGateError } from "../core/errors.ts";

declare const base: unique symbol;
/** The normalised start of every `htu` that a listener takes: origin, and path prefix if it is reached under one. */
export type ProofBase = string & { readonly [base]: true };

const LONGEST = 8192;
const URL_PARTS = /^(https?):\/\/([^/?#]+)([^?#]*)/i;
/** Visible ASCII without what parsers disagree on. */
const CHARACTERS = /^[\x21\x23-\x5b\x5d\x5f\x61-\x7a\x7e%]+$/;

/**
 * Normalises an `htu` (RFC 9449 §4.2): no query, no fragment, lower-case scheme and authority, no default port, an
 * empty path as `/`. Path case and percent-encodings stay as they are, dots are not resolved: two texts that a
 * server might take for different resources never compare equal. Null for what is not an absolute http(s) URL, or
 * carries user information.
 */
export function normaliseHtu(text: string): string | null {
  if (text.length > LONGEST || !CHARACTERS.test(text)) return null;
  const parts = URL_PARTS.exec(text);
  if (parts === null) return null;
  const scheme = (parts[1] ?? "").toLowerCase();
  let authority = (parts[2] ?? "").toLowerCase();
  if (authority.includes("@")) return null;
  const defaultPort = scheme === "https" ? ":443" : ":80";
  if (authority.endsWith(defaultPort)) authority = authority.slice(0, -defaultPort.length);
  if (authority === "") return null;
  return `${scheme}://${authority}${parts[3] || "/"}`;
}

/**
 * Reads one accepted base, such as the public base URL or `http://localhost` on a Unix socket.
 * Throws `proof_base_invalid`.
 */
export function proofBase(url: string): ProofBase {
  const normalised = normaliseHtu(url);
  if (normalised === null || /[?#]/.test(url))
    throw new LatchGateError(
      "proof_base_invalid",
      "a base url must be http(s)://host[:port][/path] and no more",
    );
  // Branded here and nowhere else: this is the normal form without its trailing slashes.
  return normalised.replace(/\/+$/, "") as ProofBase;
}

/**
 * Whether a proof's `htu` names this path under one of the bases.
 * @param path as sent, percent-encoded, without query, starting with `/`
 */
export function htuMatches(htu: string, bases: readonly ProofBase[], path: string): boolean {
  const normalised = normaliseHtu(htu);
  return normalised !== null && bases.some((accepted) => normalised === accepted + path);
}
