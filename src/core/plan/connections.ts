import type { DatabaseTarget } from "./database.ts";
import type { Endpoint } from "./endpoint.ts";
import type { MailServer } from "./mail.ts";
import type { StorageEndpoint } from "./storage.ts";

/**
 * The endpoints that the operator's configuration names (`[[connections.*]]`), as plans and brokers know them. An
 * action reaches these and nothing else. No credential is in here: `secret` is the name of one.
 */
export interface Connections {
  readonly database: ReadonlyMap<string, DatabaseConnection>;
  readonly mail: ReadonlyMap<string, MailConnection>;
  readonly queue: ReadonlyMap<string, QueueConnection>;
  readonly storage: ReadonlyMap<string, StorageConnection>;
}

export interface DatabaseConnection {
  readonly target: DatabaseTarget;
  readonly secret: string | null;
  /** PEM; null takes the runtime's own set. */
  readonly ca: string | null;
  /** Tables that any action may name there; null leaves it to the manifests. */
  readonly tables: readonly string[] | null;
}

export interface MailConnection {
  readonly server: MailServer;
  /** The one sender, a bare addr-spec. */
  readonly from: string;
  /** Domains that any action may send to there, see `isDomainPattern`; null leaves it to the manifests. */
  readonly domains: readonly string[] | null;
  readonly secret: string | null;
  readonly ca: string | null;
}

export interface QueueConnection {
  readonly server: Endpoint;
  readonly vhost: string;
  /** Exchanges that any action may name there; null leaves it to the manifests. */
  readonly exchanges: readonly string[] | null;
  /** Routing keys, or beginnings of some before a `*`, that any action may name there; null as above. */
  readonly routingKeys: readonly string[] | null;
  readonly secret: string | null;
  readonly ca: string | null;
}

export interface StorageConnection {
  readonly endpoint: StorageEndpoint;
  /** Buckets that any action may name there; null leaves it to the manifests. */
  readonly buckets: readonly string[] | null;
  /** Globs of keys that any action may name there; null leaves it to the manifests. */
  readonly keys: readonly string[] | null;
  readonly secret: string;
  readonly ca: string | null;
}

export const NO_CONNECTIONS: Connections = {
  database: new Map(),
  mail: new Map(),
  queue: new Map(),
  storage: new Map(),
};
