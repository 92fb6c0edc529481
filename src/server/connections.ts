import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { ConnectionsConfig } from "../config/connections.ts";
import { messageOf } from "../core/errors.ts";
import { compileGlob, GlobError } from "../core/glob.ts";
import { isDomainPattern, parseMailAddress } from "../core/mail-address.ts";
import { isBucketName } from "../core/object-key.ts";
import type {
  Connections,
  DatabaseConnection,
  MailConnection,
  QueueConnection,
  StorageConnection,
} from "../core/plan/connections.ts";
import { isExchangeName, isRoutingKey } from "../core/publish-rules.ts";
import { StartError } from "./start-error.ts";

/**
 * The endpoints of `[[connections.*]]`, with their CA files read. Throws {@link StartError} `config_invalid` for one that
 * could not be used, or not safely.
 */
export function readConnections(config: ConnectionsConfig, dir: string): Connections {
  return {
    database: named(config.database, "database", (entry, where) => databaseOf(entry, dir, where)),
    mail: named(config.smtp, "smtp", (entry, where): MailConnection => {
      const { host, port, user = null, tls, start, from, domains = null } = entry;
      if (parseMailAddress(from) === null) throw invalid(where, "from must be a bare address");
      if (!(domains ?? []).every(isDomainPattern))
        throw invalid(where, "domains are lower-case names, or *.example.com for any name below one");
      if ((user === null) !== (entry.password_secret === undefined))
        throw invalid(where, "a login needs user and password_secret");
      return { server: { host, port, user, tls, start }, from, domains, ...common(entry, dir, where) };
    }),
    queue: named(config.amqp, "amqp", (entry, where): QueueConnection => {
      const { host, port, user, tls, vhost, exchanges = null, routing_keys: routingKeys = null } = entry;
      if (!(exchanges ?? []).every(isExchangeName))
        throw invalid(where, "exchanges are up to 127 letters, digits and . _ : -");
      if (!(routingKeys ?? []).every(isRoutingKey))
        throw invalid(where, "routing keys are 1 to 255 visible ascii characters");
      const server = { host, port, user, tls };
      return { server, vhost, exchanges, routingKeys, ...common(entry, dir, where) };
    }),
    storage: named(config.s3, "s3", (entry, where): StorageConnection => {
      const { host, port, tls, region, addressing, access_key_id: accessKeyId } = entry;
      const { ca } = common(entry, dir, where);
      const { buckets = null, keys = null } = entry;
      if (!(buckets ?? []).every(isBucketName)) throw invalid(where, "buckets are 3 to 63 of a-z 0-9 - .");
      for (const pattern of keys ?? []) {
        const glob = compileGlob(pattern);
        if (glob instanceof GlobError) throw invalid(where, `keys: ${glob.message}`);
      }
      if (addressing === "host" && isIP(host) !== 0)
        throw invalid(where, 'addressing = "host" needs a host name, as the bucket stands before it');
      return {
        endpoint: { host, port, tls, region, addressing, accessKeyId },
        buckets,
        keys,
        secret: entry.secret_key_secret,
        ca,
      };
    }),
  };
}

const OWN_FILES = ["ledger.db", "payloads.db"];

function databaseOf(
  entry: ConnectionsConfig["database"][number],
  dir: string,
  where: string,
): DatabaseConnection {
  const { engine, host, port, database, user, schema, file, tls, tables = null } = entry;
  if (engine === "sqlite") {
    if (file === undefined) throw invalid(where, "a sqlite database needs file");
    if (host !== undefined || database !== undefined || user !== undefined || entry.ca_file !== undefined)
      throw invalid(where, "a sqlite database has a file and no server");
    if (OWN_FILES.includes(resolve(dir, file).slice(resolve(dir).length + 1)))
      throw invalid(where, "the gate's own evidence is no database of an action");
    if (entry.password_secret !== undefined) throw invalid(where, "a sqlite database has no password");
    return { target: { engine, file: resolve(dir, file) }, secret: null, ca: null, tables };
  }
  if (host === undefined || database === undefined || user === undefined)
    throw invalid(where, "a postgresql database needs host, database and user");
  if (file !== undefined) throw invalid(where, "file is for sqlite");
  const target = { engine, host, port, database, user, schema, tls };
  return { target, ...common({ ...entry, host }, dir, where), tables };
}

interface Common {
  readonly host: string;
  readonly tls: "verify" | "off";
  readonly ca_file?: string | undefined;
  readonly password_secret?: string | undefined;
}

function common(entry: Common, dir: string, where: string) {
  if (entry.tls === "off") {
    if (!isLoopback(entry.host))
      throw invalid(where, 'tls = "off" is for a literal loopback address, as 127.0.0.1 or ::1');
    if (entry.ca_file !== undefined) throw invalid(where, "ca_file has no use without tls");
  }
  const ca = entry.ca_file === undefined ? null : readCa(resolve(dir, entry.ca_file), where);
  return { secret: entry.password_secret ?? null, ca };
}

function isLoopback(host: string): boolean {
  return host === "::1" || /^127(?:\.(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])){3}$/.test(host);
}

function readCa(path: string, where: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (cause) {
    throw invalid(where, `cannot read ca_file: ${messageOf(cause)}`);
  }
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw invalid(where, "ca_file holds no pem certificate");
  return pem;
}

function named<E extends { readonly name: string }, C>(
  entries: readonly E[],
  table: string,
  read: (entry: E, where: string) => C,
): ReadonlyMap<string, C> {
  const found = new Map<string, C>();
  for (const entry of entries) {
    const where = `connections.${table} ${entry.name}`;
    if (found.has(entry.name)) throw invalid(where, "the name is taken twice");
    found.set(entry.name, read(entry, where));
  }
  return found;
}

function invalid(where: string, message: string): StartError {
  return new StartError("config_invalid", `${where}: ${message}`, {
    hint: "docs/configuration.md describes the keys",
  });
}
