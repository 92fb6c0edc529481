import type { HostCall } from "../../src/core/host-call.ts";
import {
  type CallLimits,
  type DatabasePlan,
  type EnvelopePlan,
  type FsPlan,
  type HttpPlan,
  type MailPlan,
  type Plan,
  type QueuePlan,
  type StoragePlan,
  secretsOf,
} from "../../src/core/plan.ts";
import type { DoorRequest } from "../../src/host/index.ts";

export const LIMITS: CallLimits = {
  timeoutMs: 30_000,
  fuel: 1_000_000,
  memoryMb: 64,
  ioCalls: 4,
  requestBytes: 65_536,
  responseBytes: 65_536,
};

export function httpPlan(changes: Partial<HttpPlan> = {}): HttpPlan {
  return {
    kind: "http",
    method: "GET",
    url: "https://api.example.com/items?page=1",
    headers: [["accept", "application/json"]],
    body: null,
    hosts: ["api.example.com"],
    responseHeaders: ["content-type"],
    secrets: [],
    readBack: null,
    ...changes,
  };
}

export function fsPlan(root: string, changes: Partial<FsPlan> = {}): FsPlan {
  return {
    kind: "fs",
    operation: "read",
    root,
    path: "src/a.txt",
    content: null,
    expectedBeforeHash: null,
    allow: ["**"],
    deny: [],
    maxFileBytes: 1_048_576,
    ...changes,
  };
}

export function databasePlan(changes: Partial<DatabasePlan> = {}): DatabasePlan {
  return {
    kind: "database",
    connection: "orders",
    target: {
      engine: "postgresql",
      host: "db.example.com",
      port: 5432,
      database: "shop",
      user: "gate",
      schema: "public",
      tls: "verify",
    },
    access: "read",
    class: "select",
    tables: ["public.orders"],
    statement: "select id from orders where customer = $1",
    parameters: [{ kind: "text", value: "ann" }],
    returns: true,
    maxRows: 100,
    maxAffected: 0,
    secret: null,
    ...changes,
  };
}

export function mailPlan(changes: Partial<MailPlan> = {}): MailPlan {
  return {
    kind: "mail",
    connection: "office",
    server: { host: "mail.example.com", port: 587, user: "gate", tls: "verify", start: "starttls" },
    from: "gate@example.com",
    to: ["ann@example.com"],
    cc: ["bob@example.com"],
    bcc: ["eve@example.com"],
    subject: "hello",
    text: "a line",
    html: null,
    headers: [["x-a", "1"]],
    secret: null,
    ...changes,
  };
}

export function queuePlan(changes: Partial<QueuePlan> = {}): QueuePlan {
  return {
    kind: "queue",
    connection: "jobs",
    server: { host: "mq.example.com", port: 5671, user: "gate", tls: "verify" },
    vhost: "/",
    exchange: "",
    routingKey: "mails",
    payload: Buffer.from("{}"),
    contentType: "application/json",
    headers: [["x-a", "1"]],
    secret: null,
    ...changes,
  };
}

export function storagePlan(changes: Partial<StoragePlan> = {}): StoragePlan {
  return {
    kind: "storage",
    operation: "put",
    connection: "backups",
    endpoint: {
      host: "s3.example.com",
      port: 443,
      tls: "verify",
      region: "eu-central-1",
      addressing: "path",
      accessKeyId: "AKIDEXAMPLE",
    },
    bucket: "reports",
    key: "2026/a.pdf",
    content: Buffer.from("content"),
    contentType: "application/pdf",
    ifNoneMatch: true,
    ifMatch: null,
    maxBytes: 65_536,
    secret: "S3_SECRET",
    ...changes,
  };
}

export function envelopePlan(changes: Partial<EnvelopePlan> = {}): EnvelopePlan {
  return {
    kind: "envelope",
    params: { page: 1 },
    targets: [{ hosts: ["api.example.com"], methods: ["GET"], paths: ["/items"], ports: [443] }],
    plain: [],
    calls: 3,
    responseHeaders: ["content-type"],
    secrets: [],
    ...changes,
  };
}

/** The call that a faithful component makes for a plan; for an envelope, the first that it allows. */
export function callFor(plan: Plan): HostCall {
  switch (plan.kind) {
    case "http": {
      const { method, url, headers, body } = plan;
      return { kind: "http.request", method, url, headers, body, timeoutMs: 0 };
    }
    case "fs":
      return fsCall(plan);
    case "database": {
      const { connection, statement, parameters } = plan;
      return { kind: "database.execute-query", connection, statement, parameters };
    }
    case "mail": {
      const { to, cc, bcc, subject, text, html, headers } = plan;
      return { kind: "smtp.send", to, cc, bcc, subject, text, html, headers };
    }
    case "queue": {
      const { connection, exchange, routingKey, payload, contentType, headers } = plan;
      return { kind: "queue.publish", connection, exchange, routingKey, payload, contentType, headers };
    }
    case "storage": {
      const { connection, bucket, key, contentType, ifNoneMatch, ifMatch } = plan;
      if (plan.operation === "get") return { kind: "storage.get-object", connection, bucket, key };
      const content = plan.content ?? new Uint8Array();
      const object = { connection, bucket, key, content, contentType, ifNoneMatch, ifMatch };
      return { kind: "storage.put-object", ...object };
    }
    case "envelope": {
      const { hosts = [], methods = [], paths = [] } = plan.targets[0] ?? {};
      const url = `https://${hosts[0]}${paths[0]}`;
      return { kind: "http.request", method: methods[0] ?? "", url, headers: [], body: null, timeoutMs: 0 };
    }
  }
}

function fsCall(plan: FsPlan): HostCall {
  if (plan.operation === "read") return { kind: "fs.read", path: plan.path };
  if (plan.operation === "delete") return { kind: "fs.delete", path: plan.path };
  return {
    kind: "fs.write",
    path: plan.path,
    content: plan.content ?? new Uint8Array(),
    mode: plan.operation,
    expectedBeforeHash: plan.expectedBeforeHash === null ? null : Buffer.from(plan.expectedBeforeHash, "hex"),
  };
}

export function doorRequest(plan: Plan, changes: Partial<DoorRequest> = {}): DoorRequest {
  return {
    action: "test_action",
    caller: { tenant: "default", principal: "agent:test" },
    plan,
    limits: LIMITS,
    deadline: performance.now() + 30_000,
    signal: new AbortController().signal,
    secrets: secretsOf(plan),
    ...changes,
  };
}
