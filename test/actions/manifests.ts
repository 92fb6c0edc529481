import { stringify } from "yaml";
import { type Action, createAction } from "../../src/actions/action.ts";
import { type ManifestResult, parseManifest } from "../../src/actions/manifest.ts";

/** Manifest members as they would be written; `undefined` removes one. */
export type Members = { readonly [member: string]: unknown };

const HTTP: Members = {
  apiVersion: "latchgate/v1",
  id: "issue_create",
  version: "1.0.0",
  summary: "Open an issue.",
  risk: { level: "medium" },
  effects: ["http_write"],
  provider: "builtin:http_api",
  params: {
    type: "object",
    required: ["repo", "title"],
    properties: {
      repo: { type: "string", maxLength: 100 },
      title: { type: "string", maxLength: 256 },
      text: { type: "string" },
    },
  },
  http: {
    method: "POST",
    url: "https://api.example.com/repos/{repo}/issues",
    body: { json: { title: { $param: "title" }, body: { $param: "text" } } },
  },
  egress: { hosts: ["api.example.com"] },
};

const FS: Members = {
  apiVersion: "latchgate/v1",
  id: "note_write",
  version: "1.0.0",
  summary: "Write a note.",
  risk: { level: "high" },
  effects: ["fs_write"],
  provider: "builtin:fs",
  params: {
    type: "object",
    required: ["path", "content"],
    properties: { path: { type: "string" }, content: { type: "string" } },
  },
  fs: {
    operation: "write",
    path: { $param: "path" },
    content: { text: { $param: "content" } },
    allow: ["notes/**"],
    deny: ["**/.env"],
    max_file_kb: 64,
  },
  verify: { kind: "fs_hash" },
};

const SMTP: Members = {
  apiVersion: "latchgate/v1",
  id: "mail_out",
  version: "1.0.0",
  summary: "Send a message.",
  risk: { level: "high" },
  effects: ["mail_send"],
  provider: "builtin:smtp",
  params: {
    type: "object",
    required: ["to", "subject", "text"],
    properties: {
      to: { type: "array", items: { type: "string" } },
      subject: { type: "string" },
      text: { type: "string" },
      ticket: { type: "string" },
    },
  },
  smtp: {
    connection: "office",
    to: { $param: "to" },
    subject: { $param: "subject" },
    text: { $param: "text" },
  },
  verify: { kind: "smtp" },
  limits: { request_kb: 64 },
};

const STORAGE: Members = {
  apiVersion: "latchgate/v1",
  id: "report_put",
  version: "1.0.0",
  summary: "Store a report.",
  risk: { level: "high" },
  effects: ["storage_write"],
  provider: "builtin:storage",
  params: {
    type: "object",
    required: ["key", "content"],
    properties: { key: { type: "string" }, content: { type: "string" }, etag: { type: "string" } },
  },
  storage: {
    connection: "backups",
    operation: "put",
    bucket: "reports",
    key: { $param: "key" },
    content: { text: { $param: "content" } },
    mode: "overwrite",
    if_match: { $param: "etag" },
    keys: ["2026/**", "*.csv"],
    max_object_kb: 32,
  },
  verify: { kind: "storage" },
  policy_params: ["key", "etag"],
  limits: { request_kb: 64 },
};

const QUEUE: Members = {
  apiVersion: "latchgate/v1",
  id: "order_publish",
  version: "1.0.0",
  summary: "Publish an order.",
  risk: { level: "high" },
  effects: ["queue_publish"],
  provider: "builtin:queue",
  params: {
    type: "object",
    required: ["key", "order"],
    properties: {
      exchange: { type: "string", default: "orders" },
      key: { type: "string" },
      order: true,
      tag: { type: "string" },
    },
  },
  queue: {
    connection: "jobs",
    exchange: { $param: "exchange" },
    routing_key: { $param: "key" },
    payload: { json: { order: { $param: "order" } } },
    headers: { "x-tag": { $param: "tag" } },
    exchanges: ["orders", ""],
    routing_keys: ["new", "eu.*"],
  },
  verify: { kind: "queue" },
  policy_params: ["exchange", "key", "tag"],
};
const DATABASE_SECTION: Members = {
  connection: "orders",
  access: "read",
  statement: "select id from orders where customer = $1",
  parameters: [{ $param: "customer" }],
  tables: ["orders"],
};

const DATABASE: Members = {
  apiVersion: "latchgate/v1",
  id: "orders_of",
  version: "1.0.0",
  summary: "Orders of a customer.",
  risk: { level: "medium" },
  effects: ["db_read"],
  provider: "builtin:database",
  params: { type: "object", required: ["customer"], properties: { customer: { type: "string" } } },
  verify: { kind: "database" },
};

const ENVELOPE: Members = {
  apiVersion: "latchgate/v1",
  id: "sync_items",
  version: "1.0.0",
  summary: "Bring items up to date.",
  risk: { level: "medium" },
  effects: ["http_write"],
  provider: `sha256:${"0f".repeat(32)}`,
  params: { type: "object", properties: { item: { type: "string" }, deep: { type: "object" } } },
  envelope: {
    targets: [
      { hosts: ["api.example.com"], methods: ["GET", "PUT"], paths: ["/items"] },
      { hosts: ["files.example.com"], methods: ["GET"], paths: ["/"], ports: [443, 8443] },
    ],
    calls: 2,
  },
  verify: { kind: "envelope" },
};

const present = (members: Members) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));

const written = (members: Members) =>
  stringify(Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)), {
    aliasDuplicateObjects: false,
  });

/** A sound http manifest, changed. */
export const httpText = (changes: Members = {}) => written({ ...HTTP, ...changes });
/** A sound fs manifest, changed. */
export const fsText = (changes: Members = {}) => written({ ...FS, ...changes });

/** A sound smtp manifest, changed. */
export const smtpText = (changes: Members = {}) => written({ ...SMTP, ...changes });

/** A sound storage manifest, changed. */
export const storageText = (changes: Members = {}) => written({ ...STORAGE, ...changes });

/** A sound queue manifest, changed. */
export const queueText = (changes: Members = {}) => written({ ...QUEUE, ...changes });

/** A sound manifest with an envelope, changed. */
export const envelopeText = (changes: Members = {}) => written({ ...ENVELOPE, ...changes });

/** A sound database manifest, its section and its other members changed. PostgreSQL's parser must be loaded. */
export const databaseText = (section: Members = {}, changes: Members = {}) =>
  written({ ...DATABASE, database: present({ ...DATABASE_SECTION, ...section }), ...changes });

export const parse = (text: string): ManifestResult =>
  parseManifest({ file: "a.yaml", origin: "test", text });

/** The action of a manifest that must be sound. */
export function actionOf(text: string): Action {
  const source = { file: "a.yaml", origin: "test", text };
  const result = parseManifest(source);
  if (!result.ok) throw new Error(result.problems.map((one) => `${one.path}: ${one.message}`).join("\n"));
  return createAction(result.manifest, result.digest, source);
}

/** Each problem as `code path: message`. */
export function problemsOf(text: string): string[] {
  const result = parse(text);
  return result.ok ? [] : result.problems.map(({ code, path, message }) => `${code} ${path}: ${message}`);
}
