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
