import { isIP } from "node:net";

/** Longest key, bytes of its UTF-8. */
const LONGEST_KEY = 1024;

/** Names that every store takes, and that can stand in a path and before a host alike. */
export function isBucketName(text: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text) && !/\.\.|\.-|-\./.test(text) && isIP(text) === 0;
}

/**
 * Why a text is no key, or null. A key is relative, `/`-separated, and means the same to every reader: no empty, `.` or
 * `..` segments, no backslash, no control or invisible character, nothing percent-encoded that somebody could decode.
 */
export function objectKeyFault(key: string): string | null {
  if (key === "") return "the key is empty";
  if (!key.isWellFormed()) return "the key has a lone surrogate";
  if (Buffer.byteLength(key) > LONGEST_KEY) return `the key is longer than ${LONGEST_KEY} bytes`;
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/u.test(key))
    return "the key has a backslash, control or invisible character";
  if (/%[0-9A-Fa-f]{2}/.test(key)) return "the key has a percent-encoded character";
  if (key.split("/").some((segment) => segment === "" || segment === "." || segment === ".."))
    return "the key has an empty, . or .. segment";
  return null;
}
