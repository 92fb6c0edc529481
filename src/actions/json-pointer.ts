import { isJsonObject, type Json } from "../core/json.ts";

/** The value that a JSON pointer (RFC 6901) names; undefined when there is none. Own members only. */
export function resolvePointer(document: Json, pointer: string): Json | undefined {
  if (pointer === "") return document;
  let now: Json | undefined = document;
  for (const token of pointer.slice(1).split("/")) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(now)) now = /^(?:0|[1-9]\d{0,9})$/.test(name) ? now[Number(name)] : undefined;
    else if (isJsonObject(now)) now = Object.hasOwn(now, name) ? now[name] : undefined;
    else return undefined;
  }
  return now;
}
