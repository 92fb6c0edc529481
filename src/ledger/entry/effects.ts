import { byKind, closed, integer, list, nullable, oneOf, pattern, text } from "./schema.ts";

/** What a receipt says of an effect, one closed form for each kind. What could be guessed is committed to, not shown. */
const hash = pattern(/^[0-9a-f]{64}$/, "64 hex digits");
const name = text(256);
const end = { reached: oneOf("none", "maybe", "confirmed"), error: nullable(name) } as const;

const http = closed({
  kind: oneOf("http"),
  method: name,
  origin: text(512),
  target: hash,
  address: nullable(name),
  request_bytes: integer,
  request: nullable(hash),
  status: nullable(integer),
  response_bytes: integer,
  response: nullable(hash),
  /** Names of the credentials that were put into the request. */
  secrets: list(name, 16),
  /** Places of the answer where a credential was found and taken out. */
  scrubbed: integer,
  ...end,
});

const fs = closed({
  kind: oneOf("fs"),
  operation: oneOf("read", "create", "overwrite", "delete"),
  path: hash,
  device: nullable(name),
  inode: nullable(name),
  before: nullable(hash),
  after: nullable(hash),
  bytes_before: nullable(integer),
  bytes_after: nullable(integer),
  ...end,
});

const database = closed({
  kind: oneOf("database"),
  connection: name,
  engine: oneOf("postgresql", "sqlite"),
  target: text(4096),
  statement: hash,
  parameters: hash,
  class: oneOf("select", "insert", "update", "delete"),
  tables: list(name),
  rows: nullable(integer),
  affected: nullable(integer),
  bytes: integer,
  result: nullable(hash),
  sqlstate: nullable(name),
  ...end,
});

const mail = closed({
  kind: oneOf("mail"),
  connection: name,
  server: text(512),
  address: nullable(name),
  message_id: nullable(text(998)),
  message: nullable(hash),
  bytes: integer,
  recipients: hash,
  recipient_count: integer,
  accepted: nullable(integer),
  refused: list(integer),
  status: nullable(integer),
  ...end,
});

const queue = closed({
  kind: oneOf("queue"),
  connection: name,
  server: text(512),
  vhost: name,
  exchange: name,
  routing_key: name,
  address: nullable(name),
  message_id: nullable(name),
  payload_bytes: integer,
  payload: hash,
  confirm: nullable(oneOf("ack", "nack", "returned")),
  ...end,
});

const storage = closed({
  kind: oneOf("storage"),
  operation: oneOf("put", "get"),
  connection: name,
  endpoint: text(512),
  bucket: name,
  key: hash,
  address: nullable(name),
  request_bytes: integer,
  request: nullable(hash),
  status: nullable(integer),
  response_bytes: integer,
  response: nullable(hash),
  etag: nullable(name),
  version: nullable(name),
  ...end,
});

export const effect = byKind({ http, fs, database, mail, queue, storage });
