const ENCODED = /%[0-9a-f]{2}/i;

/**
 * Whether every reader finds the same segments in the path of a URL: no empty segment but the last, none that is or
 * could become `.` or `..`, no encoded slash or backslash, no control character, nothing encoded twice, nothing that
 * is not UTF-8. Servers decode, strip `;parameters` (RFC 3986 §3.3) and fold look-alikes in different orders; a path
 * that they could disagree on is not plain. An attacker controls it.
 */
export function isPlainPath(path: string): boolean {
  if (!path.startsWith("/")) return false;
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return false;
  }
  const segments = path.split("/").length;
  // Full-width dots and slashes become plain ones where a server normalises (UAX #15, NFKC).
  return [decoded, decoded.normalize("NFKC")].every((text) => isPlainText(text, segments));
}

function isPlainText(text: string, segments: number): boolean {
  if (ENCODED.test(text) || /[\u0000-\u001f\u007f-\u009f\\]/.test(text)) return false;
  const [, ...names] = text.split("/").map((segment) => segment.split(";", 1)[0] ?? "");
  if (names.length + 1 !== segments) return false;
  return names.every((name, i) => {
    if (name === "") return i === names.length - 1 && text.endsWith("/");
    return name !== "." && name !== "..";
  });
}

/** Why a text is no path prefix, or null: it is written as a URL parser writes it, and {@link isPlainPath}. */
export function pathPrefixFault(prefix: string): string | null {
  if (!prefix.startsWith("/")) return "must start with /";
  if (!/^[\x21-\x7e]{1,128}$/.test(prefix)) return "must be up to 128 visible ascii characters";
  let url: URL;
  try {
    url = new URL(`https://host.invalid${prefix}`);
  } catch {
    return "must be a path";
  }
  if (url.host !== "host.invalid" || url.search !== "" || url.hash !== "") return "must be a path alone";
  if (url.pathname !== prefix) return `must be written as ${url.pathname}`;
  return isPlainPath(prefix) ? null : "must have no empty, dot or doubly encoded segment";
}

/**
 * Whether a path lies below a prefix, at the border of a segment: `/api` has itself and `/api/…` below it, never
 * `/apix`; `/api/` has only the latter. Both are plain; encodings are compared as they are written.
 */
export function isBelowPrefix(prefix: string, path: string): boolean {
  if (prefix.endsWith("/")) return path.startsWith(prefix);
  return path === prefix || path.startsWith(`${prefix}/`);
}
