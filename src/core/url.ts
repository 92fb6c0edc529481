import { isIP } from "node:net";

/** One parsed and normalised http(s) URL. Everything that judges or dials a target takes this, never the text. */
export interface TargetUrl {
  readonly scheme: "http" | "https";
  /** Lower-case ASCII (IDNA applied), no trailing dot; an IPv6 literal without brackets. */
  readonly host: string;
  /** Effective port. */
  readonly port: number;
  /** Path as sent, starting with `/`; percent-encodings as given. */
  readonly path: string;
  /** Query as sent, with its `?`, or empty. */
  readonly query: string;
  /** `scheme://host[:port]`, the port only when it is not the default. */
  readonly origin: string;
  /** origin + path + query: the one text that stands for this target. */
  readonly href: string;
  /** 4 or 6 when the host is an address literal, else 0. */
  readonly literal: 0 | 4 | 6;
}

export type UrlFault = "not_a_url" | "scheme" | "userinfo" | "characters" | "host" | "too_long";

export class UrlError extends Error {
  readonly fault: UrlFault;
  constructor(fault: UrlFault, message: string) {
    super(message);
    this.name = "UrlError";
    this.fault = fault;
  }
}

const LONGEST = 8192;
const HOST =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * The one URL parser (WHATWG URL, narrowed). Refuses what parsers disagree on: userinfo, backslashes, white space
 * and control characters anywhere, a missing `//`, other schemes. A fragment is dropped, as it is never sent.
 * Messages never repeat the input, which may carry a credential. Throws {@link UrlError}.
 */
export function parseTargetUrl(text: string): TargetUrl {
  if (text.length > LONGEST) throw new UrlError("too_long", `url longer than ${LONGEST} characters`);
  if (/[\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff\\]/.test(text))
    throw new UrlError("characters", "url contains white space, a control character or a backslash");
  if (!text.isWellFormed()) throw new UrlError("characters", "url contains a lone surrogate");
  const start = /^(https?):\/\/([^/?#]*)/i.exec(text);
  if (start === null) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(text)) throw new UrlError("scheme", "only http and https urls");
    throw new UrlError("not_a_url", "not an absolute http or https url");
  }
  const authority = start[2] ?? "";
  // WHATWG skips the extra slashes of https:///host, others see an empty host.
  if (authority === "") throw new UrlError("not_a_url", "not an absolute http or https url");
  if (authority.includes("@")) throw new UrlError("userinfo", "url must not carry a user name or password");
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UrlError("not_a_url", "not a valid url");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new UrlError("scheme", "only http and https urls");
  if (url.username !== "" || url.password !== "")
    throw new UrlError("userinfo", "url must not carry a user name or password");
  const scheme = url.protocol === "https:" ? "https" : "http";
  let host = url.hostname.toLowerCase();
  if (host.startsWith("[")) host = host.slice(1, -1);
  else if (host.endsWith(".")) host = host.slice(0, -1);
  const literal = isIP(host) as 0 | 4 | 6;
  if (literal === 0 && !HOST.test(host)) throw new UrlError("host", "url has no valid host name");
  const defaultPort = scheme === "https" ? 443 : 80;
  const port = url.port === "" ? defaultPort : Number(url.port);
  if (port === 0) throw new UrlError("host", "port 0 cannot be reached");
  const shown = literal === 6 ? `[${host}]` : host;
  const origin = `${scheme}://${shown}${port === defaultPort ? "" : `:${port}`}`;
  const path = url.pathname === "" ? "/" : url.pathname;
  return { scheme, host, port, path, query: url.search, origin, href: origin + path + url.search, literal };
}

/**
 * Whether a host is covered by an egress pattern: an exact name, or `*.example.com` for any name below it
 * (never `example.com` itself). Both sides are normalised names, see {@link TargetUrl.host}.
 */
export function hostMatches(pattern: string, host: string): boolean {
  if (pattern.startsWith("*.")) {
    const suffix = pattern.slice(1);
    return suffix.length > 1 && host.length > suffix.length && host.endsWith(suffix) && isIP(host) === 0;
  }
  return pattern !== "" && pattern === host;
}

/**
 * Whether a query (with its `?`) has a parameter, as any server would read it: `&` or `;` between the parameters,
 * names percent-decoded.
 */
export function hasQueryParameter(query: string, name: string): boolean {
  return new URLSearchParams(query.replaceAll(";", "&")).has(name);
}

const DECODING_ROUNDS = 8;

/**
 * Whether some reader could find a `.` or `..` segment in a path: literal, percent-encoded, encoded several times,
 * between encoded slashes or backslashes. A text that is still changing after eight rounds counts as one.
 */
export function hasDotSegment(path: string): boolean {
  let text = path;
  for (let round = 0; round < DECODING_ROUNDS; round++) {
    if (text.split(/[/\\]/).some((segment) => segment === "." || segment === "..")) return true;
    const decoded = text.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    if (decoded === text) return false;
    text = decoded;
  }
  return true;
}
