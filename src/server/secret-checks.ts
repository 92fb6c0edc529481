import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Registry } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import { readGuarded } from "../secrets/private-file.ts";
import { checkVersion } from "../secrets/version.ts";
import { readConnections } from "./connections.ts";

/** What a check found; see checks.ts. */
export interface Finding {
  readonly level: "ok" | "warning";
  readonly code: string;
  readonly text: string;
  readonly hint: string | null;
}

/** How long the identity may take, in milliseconds. */
const IDENTITY_MS = 5_000;

/**
 * Whether the secrets file opens with the configured identity and its MAC holds, and whether it has what registered
 * actions cannot do without. Values are decrypted for the MAC alone. Throws `secrets_damaged`, `secrets_unavailable`.
 */
export async function secretFindings(
  config: Config,
  dir: string,
  registry: Registry,
  identity: () => Promise<IdentitySource>,
): Promise<readonly Finding[]> {
  const path = resolve(dir, config.secrets.file);
  const there = existsSync(path);
  const names = there ? await namesIn(path, identity) : new Set<string>();
  const missing = [...wantedBy(config, dir, registry)].filter(([name]) => !names.has(name));
  const state = there
    ? `${path} opens, its mac holds; ${names.size} ${names.size === 1 ? "name" : "names"}`
    : `there is no secrets file ${path}`;
  return [
    { level: "ok", code: "ok", text: state, hint: null },
    ...missing.map(
      ([name, users]): Finding => ({
        level: "warning",
        code: "secret_missing",
        text: `${name} is not there; needed by ${users.join(", ")}`,
        hint: there ? `latchgate secrets set ${name}` : "latchgate secrets init makes the file",
      }),
    ),
  ];
}

/** Connections that manifests name and the configuration lacks: such calls are refused with `connection_missing`. */
export function connectionFindings(config: Config, dir: string, registry: Registry): readonly Finding[] {
  const connections = readConnections(config.connections, dir);
  const wanted = new Map<
    string,
    { readonly kind: string; readonly name: string; readonly actions: string[] }
  >();
  for (const { id, connection } of registry.list()) {
    if (connection === null || connections[connection.kind].has(connection.name)) continue;
    const key = `${connection.kind} ${connection.name}`;
    const known = wanted.get(key);
    if (known === undefined) wanted.set(key, { ...connection, actions: [id] });
    else known.actions.push(id);
  }
  if (wanted.size === 0) {
    const text = "every connection that actions name is configured";
    return [{ level: "ok", code: "ok", text, hint: null }];
  }
  return [...wanted.values()].map(({ kind, name, actions }) => ({
    level: "warning",
    code: "connection_missing",
    text: `there is no ${kind} connection ${name}; needed by ${actions.join(", ")}`,
    hint: "docs/configuration.md describes [[connections.*]]",
  }));
}

async function namesIn(path: string, identity: () => Promise<IdentitySource>): Promise<ReadonlySet<string>> {
  const { bytes } = await readGuarded(path, "the secrets file", false);
  const identities = await (await identity()).open(AbortSignal.timeout(IDENTITY_MS));
  const { entries, dataKey } = await checkVersion(path, bytes, identities);
  dataKey.fill(0);
  return new Set(entries.map(({ name }) => name));
}

/** Secrets that something cannot do without, with what that is, in the order of their names. */
function wantedBy(config: Config, dir: string, registry: Registry): ReadonlyMap<string, readonly string[]> {
  const connections = readConnections(config.connections, dir);
  const wanted: [name: string, user: string][] = [];
  for (const { id, secrets, connection } of registry.list()) {
    for (const { name, required } of secrets) if (required) wanted.push([name, id]);
    const secret = connection === null ? null : connections[connection.kind].get(connection.name)?.secret;
    if (secret !== null && secret !== undefined) wanted.push([secret, id]);
  }
  const { proxy_secret: proxy } = config.egress;
  if (proxy !== undefined) wanted.push([proxy, "the egress proxy"]);
  const users = new Map<string, string[]>();
  for (const [name, user] of wanted.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const known = users.get(name);
    if (known === undefined) users.set(name, [user]);
    else if (!known.includes(user)) known.push(user);
  }
  return users;
}
