import { isCanonicalJson } from "../../core/canonical-json.ts";
import { parseRfc3339 } from "../../core/clock.ts";
import type { Json } from "../../core/json.ts";
import { isPlain } from "./plain-entry.ts";
import { type EntryBody, type EntryType, type Envelope, PAYLOADS } from "./types.ts";

/** A checked payload: closed, canonical, of a known version. */
export type EntryPayload = { [T in EntryType]: Envelope & { readonly type: T } & EntryBody<T> }[EntryType];

/** The columns beside the JWS, for queries; defined by the payload alone and recomputed by the verifier. */
export interface Projection {
  readonly id: string;
  readonly type: string;
  readonly time_ms: number;
  readonly trace_id: string | null;
  readonly tenant: string | null;
  readonly principal: string | null;
  readonly action_id: string | null;
  readonly decision: string | null;
}

export type PayloadFault = { readonly kind: "invalid" | "unsupported"; readonly detail: string };

/** Reads a payload text: canonical (RFC 8785) byte for byte, and exactly the members of its type. */
export function readPayload(text: string): EntryPayload | PayloadFault {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "invalid", detail: "payload is not json" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { kind: "invalid", detail: "payload is not an object" };
  const { v, type } = value as { v?: unknown; type?: unknown };
  if (typeof v === "number" && Number.isSafeInteger(v) && v > 1)
    return { kind: "unsupported", detail: `entry version ${v}` };
  const schema = typeof type === "string" ? PAYLOADS.get(type) : undefined;
  if (typeof type !== "string" || schema === undefined)
    return { kind: "invalid", detail: "unknown entry type" };
  if (!isPlain(type, text)) {
    const fault = schema(value, "payload");
    if (fault !== null) return { kind: "invalid", detail: fault };
    // A duplicate or reordered member, another spelling of a number or an escape: all differ here.
    if (!isCanonicalJson(value as Json, text))
      return { kind: "invalid", detail: "payload is not canonical json" };
  }
  const payload = value as EntryPayload; // the closed schema of its type has just been checked
  if (parseRfc3339(payload.time) === null) return { kind: "invalid", detail: "payload.time: no such time" };
  return payload;
}

export function isFault(read: EntryPayload | PayloadFault): read is PayloadFault {
  return "kind" in read && "detail" in read;
}

/** The projection of every entry type: members of these names mean the same wherever they occur. */
export function project(payload: EntryPayload): Projection {
  const members = payload as unknown as Readonly<Record<string, unknown>>; // read by name; missing ones are null
  const column = (name: string): string | null => (typeof members[name] === "string" ? members[name] : null);
  return {
    id: payload.id,
    type: payload.type,
    time_ms: Date.parse(payload.time),
    trace_id: column("trace_id"),
    tenant: column("tenant"),
    principal: column("principal"),
    action_id: column("action_id"),
    decision: column("decision"),
  };
}
