/** A mailbox taken apart: `local@domain`. */
export interface MailAddress {
  /** As written: some servers tell letters apart there. */
  readonly local: string;
  /** Lower case. */
  readonly domain: string;
}

/** RFC 5321 §4.5.3.1: path without its angle brackets, and local part. */
const LONGEST_ADDRESS = 254;
const LONGEST_LOCAL = 64;
/** RFC 5322 §3.2.3, dot-atom-text. */
const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
/** At least two labels, and a last one that is no number: an address literal in disguise would be one. */
const DOMAIN =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?=[a-z0-9-]*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads a bare addr-spec (RFC 5321 §4.1.2), narrowed to what every reader takes for the same one mailbox: ASCII, a dot
 * atom before the `@`, a host name after it. Quoted local parts, comments, display names, groups, address literals, source
 * routes and line breaks give null. So do domains in other scripts, unless they are written in their ASCII form.
 */
export function parseMailAddress(text: string): MailAddress | null {
  if (text.length > LONGEST_ADDRESS) return null;
  const at = text.indexOf("@");
  const local = text.slice(0, Math.max(at, 0));
  const domain = text.slice(at + 1).toLowerCase();
  if (at < 0 || local.length > LONGEST_LOCAL || !LOCAL.test(local) || !DOMAIN.test(domain)) return null;
  // Lower case turns a few letters of other scripts (U+212A) into ASCII ones.
  return /^[\x21-\x7e]+$/.test(text) ? { local, domain } : null;
}

/** Whether a text can be listed as a domain: `example.com`, or `*.example.com` for any name below it. */
export function isDomainPattern(text: string): boolean {
  return DOMAIN.test(text.startsWith("*.") ? text.slice(2) : text);
}
