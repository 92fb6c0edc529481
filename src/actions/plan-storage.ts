import { fromBase64, utf8 } from "../core/bytes.ts";
import { compileGlob, type Glob, GlobError } from "../core/glob.ts";
import type { JsonObject } from "../core/json.ts";
import { isBucketName, objectKeyFault } from "../core/object-key.ts";
import type { StorageConnection } from "../core/plan/connections.ts";
import type { StoragePlan } from "../core/plan.ts";
import { connectionMissing, textOf } from "./connected.ts";
import type { StorageSection } from "./manifest-schema.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";

/** Makes the one object operation that checked parameters stand for. */
export function planStorage(
  section: StorageSection,
  keys: readonly Glob[] | null,
  params: JsonObject,
  context: PlanContext,
): Planned<StoragePlan> | PlanRefusal {
  const connection = context.connections?.storage.get(section.connection);
  if (connection === undefined) return connectionMissing("s3", section.connection);
  const bucket = textOf(section.bucket, params);
  const key = textOf(section.key, params);
  if (typeof bucket !== "string" || !isBucketName(bucket))
    return refusePlan("path_invalid", "the bucket is not the name of one");
  const fault = typeof key === "string" ? objectKeyFault(key) : "the key must be text";
  if (fault !== null || typeof key !== "string") return refusePlan("path_invalid", fault ?? "");
  const refusal = placeFault(section, keys, connection, bucket, key);
  if (refusal !== null) return refusal;
  const put = section.operation === "put";
  const content = put ? contentOf(section, params) : null;
  if (put && content === null)
    return refusePlan("invalid_content", "give content as text, or as padded base64, but not both");
  const most = section.max_object_kb * 1024;
  if (content !== null && content.byteLength > most)
    return refusePlan("too_large", `the content is larger than ${section.max_object_kb} kb`);
  const type = put ? textOf(section.content_type, params) : null;
  if (type === undefined || (type !== null && !isMediaType(type)))
    return refusePlan("invalid_content", "the content type is not one");
  const mode = put ? modeOf(section, params) : "overwrite";
  const ifMatch = put ? textOf(section.if_match, params) : null;
  if (mode === null) return refusePlan("invalid_content", "the mode is create or overwrite");
  if (ifMatch === undefined || (ifMatch !== null && (!isEtag(ifMatch) || mode === "create")))
    return refusePlan("invalid_content", 'if_match is an etag such as "9b2c", for an object that is there');
  return {
    ok: true,
    plan: {
      kind: "storage",
      operation: section.operation,
      connection: section.connection,
      endpoint: connection.endpoint,
      bucket,
      key,
      content,
      contentType: type,
      ifNoneMatch: put && mode === "create",
      ifMatch,
      maxBytes: most,
      secret: connection.secret,
    },
    unresolved: { hosts: [], paths: [] },
  };
}

/** Bucket and key must be in the list of the manifest and in that of the connection, where there are such lists. */
function placeFault(
  section: StorageSection,
  keys: readonly Glob[] | null,
  connection: StorageConnection,
  bucket: string,
  key: string,
): PlanRefusal | null {
  const fixed = typeof section.bucket === "string" ? [section.bucket] : null;
  const buckets = [section.buckets ?? fixed, connection.buckets].filter((list) => list !== null);
  const globs = [keys, connection.keys?.map(compiled) ?? null].filter((list) => list !== null);
  if (buckets.length === 0 || globs.length === 0)
    return refusePlan("path_denied", "neither the manifest nor the connection lists buckets and keys");
  if (!buckets.every((list) => list.includes(bucket)))
    return refusePlan("path_denied", "the bucket is not listed");
  if (!globs.every((list) => list.some((glob) => glob.matches(key))))
    return refusePlan("path_denied", "the key is outside what is listed");
  if (connection.endpoint.addressing === "host" && bucket.includes("."))
    return refusePlan("path_denied", "a bucket with a dot cannot stand before a host");
  return null;
}

/** The compiled `keys` of a section; null without them. A fixed key needs none. */
export function compileKeys(section: StorageSection): readonly Glob[] | null {
  if (section.keys !== undefined) return section.keys.map(compiled);
  return typeof section.key === "string" ? [compiled(section.key.replace(/[*?[\]{}!,\\]/g, "\\$&"))] : null;
}

function compiled(pattern: string): Glob {
  const glob = compileGlob(pattern);
  if (glob instanceof GlobError) throw glob; // compiled before, by the cross-checks or when the gate started
  return glob;
}

function contentOf(section: StorageSection, params: JsonObject): Uint8Array | null {
  const text = section.content?.text === undefined ? undefined : params[section.content.text.$param];
  const base64 = section.content?.base64 === undefined ? undefined : params[section.content.base64.$param];
  if (typeof text === "string" && base64 === undefined) return utf8(text);
  if (typeof base64 === "string" && text === undefined) return fromBase64(base64);
  return null;
}

function modeOf(section: StorageSection, params: JsonObject): "create" | "overwrite" | null {
  const mode = typeof section.mode === "object" ? params[section.mode.$param] : (section.mode ?? "create");
  return mode === "create" || mode === "overwrite" ? mode : null;
}

/** RFC 9110 §8.3.1, with parameters. */
function isMediaType(text: string): boolean {
  return (
    text.length <= 128 &&
    /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(?:; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*$/i.test(text)
  );
}

/** RFC 9110 §8.8.3: a strong one, in its quotes. */
function isEtag(text: string): boolean {
  return text.length <= 128 && /^"[\x21\x23-\x7e]+"$/.test(text);
}
