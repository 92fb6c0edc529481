import { readFile } from "node:fs/promises";
import databasePath from "../../providers/database/database.wasm" with { type: "file" };
import digests from "../../providers/digests.json" with { type: "json" };
import fsPath from "../../providers/fs/fs.wasm" with { type: "file" };
import httpApiPath from "../../providers/http_api/http_api.wasm" with { type: "file" };
import queuePath from "../../providers/queue/queue.wasm" with { type: "file" };
import smtpPath from "../../providers/smtp/smtp.wasm" with { type: "file" };
import storagePath from "../../providers/storage/storage.wasm" with { type: "file" };
import { type IngestedComponent, ingestComponent } from "./ingest.ts";

export const BUILTIN_NAMES = ["http_api", "fs", "database", "smtp", "queue", "storage"] as const;
export type BuiltinName = (typeof BUILTIN_NAMES)[number];

const PATHS: Readonly<Record<BuiltinName, string>> = {
  http_api: httpApiPath,
  fs: fsPath,
  database: databasePath,
  smtp: smtpPath,
  queue: queuePath,
  storage: storagePath,
};

/**
 * The components that the binary carries, each checked against the digest that it also carries. The build validates
 * them as a whole, and a test does so again; at run time their structure is read, which takes a millisecond.
 */
export async function loadBuiltins(): Promise<ReadonlyMap<BuiltinName, IngestedComponent>> {
  const loaded = new Map<BuiltinName, IngestedComponent>();
  for (const name of BUILTIN_NAMES) {
    const bytes = await readFile(PATHS[name]);
    loaded.set(name, await ingestComponent({ bytes, pin: digests[name], origin: "builtin", validate: null }));
  }
  return loaded;
}
