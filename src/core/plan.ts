import type { JsonObject } from "./json.ts";
import type { SecretBinding } from "./secret-binding.ts";

/**
 * The exact effect of one call, made before policy and never changed: policy judges it, an approver sees it and
 * signs its hash, the brokers refuse what differs from it.
 */
export type Plan = HttpPlan | FsPlan;

export const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
export type HttpMethod = (typeof HTTP_METHODS)[number];

export type Header = readonly [name: string, value: string];

export interface HttpPlan {
  readonly kind: "http";
  readonly method: HttpMethod;
  /** Normalised, see `TargetUrl.href`. */
  readonly url: string;
  /** Lower-case names in the order sent; never host, content-length or a hop-by-hop header. */
  readonly headers: readonly Header[];
  readonly body: Uint8Array | null;
  /** Host patterns that the manifest allows, see `hostMatches`. */
  readonly hosts: readonly string[];
  /** Response headers that the component may see, lower case. */
  readonly responseHeaders: readonly string[];
  /** Credentials that the broker puts in, by name; `url`, `headers` and `body` are without them. */
  readonly secrets: readonly SecretBinding[];
}

export type FsOperation = "read" | "create" | "overwrite" | "delete";

export interface FsPlan {
  readonly kind: "fs";
  readonly operation: FsOperation;
  /** Absolute path of the root folder that the path is beneath. */
  readonly root: string;
  /** Relative, `/`-separated, no empty, `.` or `..` segments. */
  readonly path: string;
  /** For create and overwrite. */
  readonly content: Uint8Array | null;
  /** Lower-case hex SHA-256 that the old content must have; overwrite and delete only. */
  readonly expectedBeforeHash: string | null;
  /** Globs; deny wins. Part of the plan, so that no path through the gate can lose them. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly maxFileBytes: number;
}

/** What one execution may use. Part of what is hashed and granted. */
export interface CallLimits {
  /** From grant to receipt, milliseconds. */
  readonly timeoutMs: number;
  readonly fuel: number;
  readonly memoryMb: number;
  /** Host calls that the component may make; logging is not counted. */
  readonly ioCalls: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** The plan as JSON: bytes as base64, members always present. The same plan always gives the same canonical text. */
export function planToJson(plan: Plan): JsonObject {
  if (plan.kind === "http")
    return {
      kind: "http",
      method: plan.method,
      url: plan.url,
      headers: plan.headers.map(([name, value]) => [name, value]),
      body: encode(plan.body),
      hosts: [...plan.hosts],
      response_headers: [...plan.responseHeaders],
      secrets: plan.secrets.map((binding) => ({ ...binding })),
    };
  return {
    kind: "fs",
    operation: plan.operation,
    root: plan.root,
    path: plan.path,
    content: encode(plan.content),
    expected_before_hash: plan.expectedBeforeHash,
    allow: [...plan.allow],
    deny: [...plan.deny],
    max_file_bytes: plan.maxFileBytes,
  };
}

/** Reads what {@link planToJson} wrote. The caller has checked the bytes against their signed commitment. */
export function planFromJson(json: JsonObject): Plan {
  if (json.kind === "http") {
    const plan = json as unknown as HttpPlanJson; // written by planToJson, commitment checked by the caller
    return {
      kind: "http",
      method: plan.method,
      url: plan.url,
      headers: plan.headers,
      body: decode(plan.body),
      hosts: plan.hosts,
      responseHeaders: plan.response_headers,
      // Calls that were held before plans had credentials have none.
      secrets: plan.secrets ?? [],
    };
  }
  const plan = json as unknown as FsPlanJson; // as above
  return {
    kind: "fs",
    operation: plan.operation,
    root: plan.root,
    path: plan.path,
    content: decode(plan.content),
    expectedBeforeHash: plan.expected_before_hash,
    allow: plan.allow,
    deny: plan.deny,
    maxFileBytes: plan.max_file_bytes,
  };
}

interface HttpPlanJson {
  method: HttpMethod;
  url: string;
  headers: Header[];
  body: string | null;
  hosts: string[];
  response_headers: string[];
  secrets?: SecretBinding[];
}

interface FsPlanJson {
  operation: FsOperation;
  root: string;
  path: string;
  content: string | null;
  expected_before_hash: string | null;
  allow: string[];
  deny: string[];
  max_file_bytes: number;
}

function encode(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("base64");
}

function decode(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text, "base64");
}
