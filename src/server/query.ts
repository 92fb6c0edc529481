import { HttpFault } from "./front/index.ts";

/** The query of a request; a name given twice is refused, unknown names are left to the caller. */
export function readQuery(query: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (values.has(name)) throw new HttpFault(400, "bad_request", "a query parameter is given twice");
    values.set(name, value);
  }
  return values;
}

/** A whole number within bounds; out of bounds it is clamped, not a number is refused. */
export function readLimit(text: string | undefined, fallback: number, most: number): number {
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text)) throw new HttpFault(400, "bad_request", "limit must be a whole number");
  return Math.min(most, Math.max(1, Number(text)));
}
