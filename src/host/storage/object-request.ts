import { isIP } from "node:net";
import { sha256, sha256Hex } from "../../core/bytes.ts";
import type { Header, StoragePlan } from "../../core/plan.ts";
import { amzDate, authorization, encodeKey } from "./sigv4.ts";

/** A signed request for one object. */
export interface ObjectRequest {
  readonly method: "PUT" | "GET";
  /** Value of the Host header. */
  readonly authority: string;
  readonly target: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array | null;
}

const EMPTY_HASH = sha256Hex("");

/** The name that is dialled and that the certificate must bear: with `host` addressing the bucket is part of it. */
export function hostOf({ endpoint, bucket }: StoragePlan): string {
  return endpoint.addressing === "host" ? `${bucket}.${endpoint.host}` : endpoint.host;
}

/**
 * The request of a plan, signed over its content and every one of its headers: what arrives is what was planned, or the
 * store refuses it.
 *
 * @param secret bytes of the secret access key
 * @param now milliseconds since the epoch
 */
export function objectRequest(plan: StoragePlan, secret: Uint8Array, now: number): ObjectRequest {
  const { endpoint, bucket, key } = plan;
  const method = plan.operation === "put" ? "PUT" : "GET";
  const authority = authorityOf(hostOf(plan), endpoint.port, endpoint.tls);
  const path = `${endpoint.addressing === "path" ? `/${bucket}` : ""}/${encodeKey(key)}`;
  const payloadHash = plan.content === null ? EMPTY_HASH : sha256Hex(plan.content);
  const headers: Header[] = [
    ["x-amz-content-sha256", payloadHash],
    ["x-amz-date", amzDate(now)],
  ];
  if (plan.content !== null) {
    headers.push(["x-amz-checksum-sha256", sha256(plan.content).toString("base64")]);
    if (plan.contentType !== null) headers.push(["content-type", plan.contentType]);
    if (plan.ifNoneMatch) headers.push(["if-none-match", "*"]);
    if (plan.ifMatch !== null) headers.push(["if-match", plan.ifMatch]);
  } else headers.push(["x-amz-checksum-mode", "ENABLED"]);
  const signature = authorization(
    { method, path, query: "", headers: [["host", authority], ...headers], payloadHash },
    { accessKeyId: endpoint.accessKeyId, secret, region: endpoint.region, service: "s3", now },
  );
  return {
    method,
    authority,
    target: path,
    headers: [...headers, ["authorization", signature]],
    body: plan.content,
  };
}

function authorityOf(host: string, port: number, tls: "verify" | "off"): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return port === (tls === "off" ? 80 : 443) ? name : `${name}:${port}`;
}
