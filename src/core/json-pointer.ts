import { isJsonObject, type Json } from "./json.ts";

/** The member names of a JSON pointer (RFC 6901 §4); null for a text that is none. */
export function pointerSteps(pointer: string): string[] | null {
  if (!/^(?:\/(?:[^~/]|~[01])*)*$/.test(pointer)) return null;
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The value that a JSON pointer (RFC 6901) names; undefined when there is none. Own members only. */
export function resolvePointer(document: Json, pointer: string): Json | undefined {
  if (pointer === "") return document;
  let now: Json | undefined = document;
  for (const name of pointerSteps(pointer) ?? []) {
    if (Array.isArray(now)) now = /^(?:0|[1-9]\d{0,9})$/.test(name) ? now[Number(name)] : undefined;
    else if (isJsonObject(now)) now = Object.hasOwn(now, name) ? now[name] : undefined;
    else return undefined;
  }
  return now;
}
