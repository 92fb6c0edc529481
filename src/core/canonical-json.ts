import type { Json } from "./json.ts";

/**
 * RFC 8785 canonical form. ECMAScript's own number and string serialisation is the one that RFC prescribes
 * (§3.2.2), and its default string order is by UTF-16 code units (§3.2.3).
 * Members whose value is undefined are left out. Throws on non-finite numbers and lone surrogates.
 */
export function canonicalJson(value: Json | undefined): string {
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError("number is not finite");
      return `${value}`;
    case "boolean":
      return value ? "true" : "false";
    case "object": {
      if (value === null) return "null";
      if (Array.isArray(value)) {
        let list = "[";
        for (let i = 0; i < value.length; i++) list += (i === 0 ? "" : ",") + canonicalJson(value[i]);
        return `${list}]`;
      }
      const object = value as { readonly [name: string]: Json | undefined };
      let out = "{";
      for (const name of Object.keys(object).sort()) {
        const member = object[name];
        if (member === undefined) continue;
        if (out.length > 1) out += ",";
        out += `${quoted(name)}:${canonicalJson(member)}`;
      }
      return `${out}}`;
    }
    default:
      throw new TypeError(`not a json value: ${typeof value}`);
  }
}

/**
 * Whether `text` is the canonical form of `value`, which `JSON.parse` made of it. A duplicate or reordered member,
 * another spelling of a number, an escape that need not be: all differ. Throws as {@link canonicalJson}.
 */
export function isCanonicalJson(value: Json, text: string): boolean {
  // The runtime's own serialiser is many times faster, and canonical for members that stand in order already.
  return (inOrder(value) && JSON.stringify(value) === text) || canonicalJson(value) === text;
}

/** Well-formed throughout, with the members of every object in canonical order. False says nothing. */
function inOrder(value: Json): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(inOrder);
  const object = value as { readonly [name: string]: Json };
  let previous: string | null = null;
  for (const name in object) {
    const member = object[name];
    if (previous !== null && name <= previous) return false;
    if (member === undefined || !name.isWellFormed() || !inOrder(member)) return false;
    previous = name;
  }
  return true;
}

/** Printable ASCII without `"` and `\`: nothing in it is escaped. Most texts are such, and skip the slower way. */
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new TypeError("lone surrogate");
  return JSON.stringify(text);
}
