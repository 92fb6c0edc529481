import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type {
  DatabaseEffect,
  FsEffect,
  HttpEffect,
  MailEffect,
  ObservedEffect,
  QueueEffect,
  StorageEffect,
} from "../core/effect.ts";
import { databaseTargetText } from "../core/plan/database.ts";
import type {
  DatabasePlan,
  EnvelopePlan,
  ExactPlan,
  FsPlan,
  HttpPlan,
  MailPlan,
  Plan,
  QueuePlan,
  StoragePlan,
} from "../core/plan.ts";
import { parseTargetUrl } from "../core/url.ts";

/** An effect record while its broker still fills it in. */
export type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type OpenRecord =
  | Writable<HttpEffect>
  | Writable<FsEffect>
  | Writable<DatabaseEffect>
  | Writable<MailEffect>
  | Writable<QueueEffect>
  | Writable<StorageEffect>;

/** The record of a call that equals the plan, before anything has happened. */
export function recordOf(plan: ExactPlan): OpenRecord {
  switch (plan.kind) {
    case "http":
      return httpRecord(plan);
    case "fs":
      return fsRecord(plan);
    case "database":
      return databaseRecord(plan);
    case "mail":
      return mailRecord(plan);
    case "queue":
      return queueRecord(plan);
    case "storage":
      return storageRecord(plan);
  }
}

/**
 * The record of a call that was refused at the door. It names the granted effect, which was not reached, and nothing
 * of what was asked instead: that text is the component's, and evidence does not repeat it. Of an envelope, which
 * grants no one effect, it names no place.
 */
export function refusalOf(plan: Plan, error: NonNullable<ObservedEffect["error"]>): ObservedEffect {
  const record = plan.kind === "envelope" ? nowhere(plan) : recordOf(plan);
  switch (record.kind) {
    case "http":
    case "storage":
      return { ...record, requestBytes: 0, requestHash: null, error };
    case "fs":
    case "database":
    case "mail":
    case "queue":
      return { ...record, error };
  }
}

const NOTHING_YET = { reached: "none", error: null } as const;

export function httpRecord(plan: HttpPlan, purpose: HttpEffect["purpose"] = "effect"): Writable<HttpEffect> {
  const { origin, target } = place(plan.url);
  return {
    kind: "http",
    purpose,
    method: plan.method,
    origin,
    target,
    address: null,
    requestBytes: plan.body?.length ?? 0,
    requestHash: plan.body === null ? null : sha256Hex(plan.body),
    status: null,
    responseBytes: 0,
    responseHash: null,
    secrets: [],
    scrubbed: 0,
    ...NOTHING_YET,
  };
}

function nowhere({ targets }: EnvelopePlan): Writable<HttpEffect> {
  const [method = "GET"] = targets[0]?.methods ?? [];
  const place = { url: "", method, headers: [], body: null, hosts: [], responseHeaders: [] };
  return httpRecord({ kind: "http", ...place, secrets: [], readBack: null });
}

export function fsRecord(plan: FsPlan): Writable<FsEffect> {
  return {
    kind: "fs",
    operation: plan.operation,
    path: plan.path,
    device: null,
    inode: null,
    beforeHash: null,
    afterHash: null,
    bytesBefore: null,
    bytesAfter: null,
    ...NOTHING_YET,
  };
}

export function databaseRecord(plan: DatabasePlan): Writable<DatabaseEffect> {
  return {
    kind: "database",
    connection: plan.connection,
    engine: plan.target.engine,
    target: databaseTargetText(plan.target),
    statementHash: sha256Hex(plan.statement),
    parametersHash: sha256Hex(canonicalJson(plan.parameters.map(({ kind, value }) => ({ kind, value })))),
    class: plan.class,
    tables: plan.tables,
    rows: null,
    affected: null,
    bytes: 0,
    resultHash: null,
    sqlstate: null,
    ...NOTHING_YET,
  };
}

export function mailRecord(plan: MailPlan): Writable<MailEffect> {
  const recipients = [...plan.to, ...plan.cc, ...plan.bcc].sort();
  return {
    kind: "mail",
    connection: plan.connection,
    server: `${plan.server.host}:${plan.server.port}`,
    address: null,
    messageId: null,
    messageHash: null,
    bytes: 0,
    recipientsHash: sha256Hex(recipients.map((recipient) => `${recipient}\n`).join("")),
    recipients: recipients.length,
    accepted: null,
    refused: [],
    status: null,
    ...NOTHING_YET,
  };
}

export function queueRecord(plan: QueuePlan): Writable<QueueEffect> {
  return {
    kind: "queue",
    connection: plan.connection,
    server: `${plan.server.host}:${plan.server.port}`,
    vhost: plan.vhost,
    exchange: plan.exchange,
    routingKey: plan.routingKey,
    address: null,
    messageId: null,
    payloadBytes: plan.payload.length,
    payloadHash: sha256Hex(plan.payload),
    confirm: null,
    ...NOTHING_YET,
  };
}

export function storageRecord(plan: StoragePlan): Writable<StorageEffect> {
  const { host, port, tls } = plan.endpoint;
  return {
    kind: "storage",
    operation: plan.operation,
    connection: plan.connection,
    endpoint: `${tls === "off" ? "http" : "https"}://${host}:${port}`,
    bucket: plan.bucket,
    key: plan.key,
    address: null,
    requestBytes: plan.content?.length ?? 0,
    requestHash: plan.content === null ? null : sha256Hex(plan.content),
    status: null,
    responseBytes: 0,
    responseHash: null,
    etag: null,
    version: null,
    ...NOTHING_YET,
  };
}

/** A plan whose URL does not parse is refused by the broker; its record then has no place to name. */
function place(url: string): { origin: string; target: string } {
  try {
    const parsed = parseTargetUrl(url);
    return { origin: parsed.origin, target: parsed.path + parsed.query };
  } catch {
    return { origin: "", target: "" };
  }
}
