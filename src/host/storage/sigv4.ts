import { createHash, createHmac } from "node:crypto";

/** A request as it will be sent, without its signature. */
export interface UnsignedRequest {
  readonly method: string;
  /** Percent-encoded as on the wire. */
  readonly path: string;
  /** Without `?`: names and values percent-encoded; empty for none. */
  readonly query: string;
  /** Lower-case names, `host` among them: every one is signed. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Lower-case hex SHA-256 of the body. */
  readonly payloadHash: string;
}

export interface SigningScope {
  readonly accessKeyId: string;
  /** Bytes of the secret access key. */
  readonly secret: Uint8Array;
  readonly region: string;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/** `20130524T000000Z`, as `x-amz-date` has it. */
export function amzDate(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
}

/** Percent-encodes a key for a path: everything but unreserved characters and `/` (RFC 3986 §2.3), once. */
export function encodeKey(key: string): string {
  return key.split("/").map(encodeSegment).join("/");
}

export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * The `authorization` header of a request by Signature Version 4 ("Authenticating Requests: Using the Authorization
 * Header", Amazon S3 API Reference). The path is taken as it is sent: S3 neither normalises nor encodes it again.
 */
export function authorization(request: UnsignedRequest, scope: SigningScope): string {
  const date = amzDate(scope.now);
  const headers = request.headers
    .map(([name, value]) => [name, value.trim().replace(/ +/g, " ")] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const signed = headers.map(([name]) => name).join(";");
  const canonical = [
    request.method,
    request.path,
    sortedQuery(request.query),
    ...headers.map(([name, value]) => `${name}:${value}`),
    "",
    signed,
    request.payloadHash,
  ].join("\n");
  const credential = [date.slice(0, 8), scope.region, scope.service, "aws4_request"].join("/");
  const hash = createHash("sha256").update(canonical).digest("hex");
  const signature = createHmac("sha256", signingKey(scope, date.slice(0, 8)))
    .update([ALGORITHM, date, credential, hash].join("\n"))
    .digest("hex");
  return `${ALGORITHM} Credential=${scope.accessKeyId}/${credential}, SignedHeaders=${signed}, Signature=${signature}`;
}

function signingKey({ secret, region, service }: SigningScope, day: string): Buffer {
  const start = Buffer.concat([Buffer.from("AWS4"), secret]);
  try {
    return [day, region, service, "aws4_request"].reduce<Buffer>(
      (key, part) => createHmac("sha256", key).update(part).digest(),
      start,
    );
  } finally {
    start.fill(0);
  }
}

function sortedQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort()
    .join("&");
}
