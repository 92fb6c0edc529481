import { StatementReader } from "../actions/index.ts";
import type { Connections } from "../core/plan/connections.ts";
import type { Host } from "../host/index.ts";
import { type ConfiguredParties, configuredParties } from "./anchor-parties.ts";
import { readConnections } from "./connections.ts";
import { fileRoots, openHost } from "./egress.ts";
import type { Opened } from "./opened.ts";
import { openSecrets } from "./secrets.ts";
import type { StartOptions } from "./start.ts";

/** What a gate reaches of the world. */
export interface Borders {
  readonly fsRoots: readonly [string, ...string[]];
  readonly connections: Connections;
  readonly secrets: { close(): void };
  readonly host: Host;
  /** What calls reach of databases is read by it first. */
  readonly statements: StatementReader;
  readonly parties: ConfiguredParties;
}

/** Opens what the configuration lets a gate reach: folders, connections, secrets, the brokers of all of them. */
export function openBorders({ dir, config, identity, report }: StartOptions, opened: Opened): Borders {
  const fsRoots = fileRoots(config, dir);
  const connections = readConnections(config.connections, dir);
  const secrets = openSecrets(config, dir, identity, report);
  opened.add(() => secrets.close());
  const statements = new StatementReader();
  opened.add(() => statements.close());
  const host = openHost(config, dir, fsRoots, connections, secrets);
  opened.add(() => host.close());
  return { fsRoots, connections, secrets, host, statements, parties: configuredParties(dir, config) };
}
