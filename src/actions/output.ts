import { fromBase64 } from "../core/bytes.ts";
import { isJsonObject, type Json, JsonError, type JsonObject, parseJson } from "../core/json.ts";
import type { Header, PlanKind } from "../core/plan.ts";

/** What a component said about an HTTP exchange. It is a claim: the host's record of the effect decides. */
export interface HttpOutput {
  readonly status: number;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
}

/** A remote body as an agent gets it. */
export type Content = { readonly json: Json } | { readonly text: string } | { readonly base64: string };

/** Reads `{"status","headers":[[n,v]],"body_base64"}`; null for anything else. */
export function readHttpOutput(raw: Json): HttpOutput | null {
  if (!isJsonObject(raw)) return null;
  const { status, headers, body_base64: encoded } = raw;
  if (typeof status !== "number" || !Number.isInteger(status) || !Array.isArray(headers)) return null;
  if (typeof encoded !== "string") return null;
  const body = fromBase64(encoded);
  const pairs: Header[] = [];
  for (const header of headers) {
    if (!Array.isArray(header) || header.length !== 2) return null;
    const [name, value]: readonly Json[] = header;
    if (typeof name !== "string" || typeof value !== "string") return null;
    pairs.push([name.toLowerCase(), value]);
  }
  return body === null ? null : { status, headers: pairs, body };
}

/** Turns a component's output into what the agent sees. An attacker controls the remote part of it. */
export function shapeOutput(kind: PlanKind, headerNames: readonly string[], raw: Json): Json {
  if (!isJsonObject(raw) || typeof raw.ok !== "boolean")
    return failure("invalid_output", "the provider's answer is not an object with ok");
  switch (kind) {
    case "http":
      return shapeHttp(raw, headerNames);
    case "fs":
    case "storage":
      return shapeContent(raw);
    case "database":
    case "mail":
    case "queue":
    case "envelope":
      return raw;
  }
}

function shapeHttp(raw: JsonObject, headerNames: readonly string[]): Json {
  const output = readHttpOutput(raw);
  if (output === null) return raw;
  const shaped = {
    ok: raw.ok ?? false,
    status: output.status,
    headers: shownHeaders(headerNames, output.headers),
    ...contentOf(output),
  };
  return raw.error === undefined ? shaped : { ...shaped, error: raw.error };
}

/** Content as text where it is text. */
function shapeContent(raw: JsonObject): Json {
  const { content_base64: encoded, ...rest } = raw;
  if (typeof encoded !== "string") return raw;
  const content = fromBase64(encoded);
  if (content === null) return failure("invalid_output", "the provider's content is not base64");
  return { ...rest, ...textOr64(content, "utf-8") };
}

function failure(code: string, message: string): JsonObject {
  return { ok: false, error: { code, message } };
}

function shownHeaders(names: readonly string[], headers: readonly Header[]): JsonObject {
  const shown: Record<string, Json> = {};
  for (const name of names) {
    const values = headers.filter((header) => header[0] === name).map((header) => header[1]);
    if (values.length > 0) shown[name] = values.join(", "); // RFC 9110 §5.3
  }
  return shown;
}

const DEEPEST = 64;

/**
 * A body as JSON when it says so and is I-JSON, as text when it decodes, else as base64. JSON that readers
 * disagree on (duplicate members, great integers) stays text: nothing is lost silently.
 */
export function contentOf(output: HttpOutput): Content {
  const type = output.headers.find(([name]) => name === "content-type")?.[1] ?? "";
  const media = type.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (media === "application/json" || media.endsWith("+json")) {
    try {
      return { json: parseJson(output.body, { bytes: output.body.byteLength, depth: DEEPEST }) };
    } catch (thrown) {
      if (!(thrown instanceof JsonError)) throw thrown;
    }
  }
  const charset = /;\s*charset\s*=\s*"?([\w-]{1,32})/i.exec(type)?.[1] ?? "utf-8";
  return textOr64(output.body, charset);
}

function textOr64(bytes: Uint8Array, charset: string): { text: string } | { base64: string } {
  const text = decoded(bytes, charset);
  return text === null || text.includes("\0") ? { base64: Buffer.from(bytes).toString("base64") } : { text };
}

/** Null when the charset is unknown or the bytes are not in it. */
function decoded(bytes: Uint8Array, charset: string): string | null {
  try {
    // The remote side names the charset; one that the decoder does not know throws.
    return new TextDecoder(charset as "utf-8", { fatal: true }).decode(bytes).toWellFormed();
  } catch {
    return null;
  }
}
