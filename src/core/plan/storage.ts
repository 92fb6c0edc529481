import type { JsonObject } from "../json.ts";
import { decodeBytes, encodeBytes } from "./stored-bytes.ts";

export interface StorageEndpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: "verify" | "off";
  readonly region: string;
  /** Whether the bucket stands in the path, or before the host. */
  readonly addressing: "path" | "host";
  /** Identifies the key pair; its other half is the secret. */
  readonly accessKeyId: string;
}

export interface StoragePlan {
  readonly kind: "storage";
  readonly operation: "put" | "get";
  /** Name of the `[[connections.s3]]` entry. */
  readonly connection: string;
  readonly endpoint: StorageEndpoint;
  readonly bucket: string;
  readonly key: string;
  /** For put. */
  readonly content: Uint8Array | null;
  /** For put. */
  readonly contentType: string | null;
  /** For put: fails when the object is there. */
  readonly ifNoneMatch: boolean;
  /** For put: the etag that the object must have; null for any. */
  readonly ifMatch: string | null;
  /** Largest object that may come back. */
  readonly maxBytes: number;
  /** Name of the secret that holds the secret access key. */
  readonly secret: string;
}

export function storagePlanToJson(plan: StoragePlan) {
  const { accessKeyId, ...endpoint } = plan.endpoint;
  return {
    kind: plan.kind,
    operation: plan.operation,
    connection: plan.connection,
    endpoint: { ...endpoint, access_key_id: accessKeyId },
    bucket: plan.bucket,
    key: plan.key,
    content: encodeBytes(plan.content),
    content_type: plan.contentType,
    if_none_match: plan.ifNoneMatch,
    if_match: plan.ifMatch,
    max_bytes: plan.maxBytes,
    secret: plan.secret,
  } satisfies JsonObject;
}

export function storagePlanFromJson(stored: ReturnType<typeof storagePlanToJson>): StoragePlan {
  const { access_key_id: accessKeyId, ...endpoint } = stored.endpoint;
  const { content_type: contentType, if_none_match: ifNoneMatch, if_match: ifMatch, ...rest } = stored;
  const { max_bytes: maxBytes, ...plan } = rest;
  return {
    ...plan,
    endpoint: { ...endpoint, accessKeyId },
    content: decodeBytes(stored.content),
    contentType,
    ifNoneMatch,
    ifMatch,
    maxBytes,
  };
}
