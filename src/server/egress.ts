import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { LocalTarget } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import type { Connections } from "../core/plan/connections.ts";
import { HTTP_METHODS } from "../core/plan.ts";
import type { SecretSource } from "../core/secrets.ts";
import type { Gate } from "../gate/gate.ts";
import { createHost, type Host, type LocalEgress } from "../host/index.ts";
import { StartError } from "./start-error.ts";

/** The brokers, with the roots, local targets, connections, secrets and proxy that configuration opens. */
export function openHost(
  config: Config,
  dir: string,
  fsRoots: readonly string[],
  connections: Connections,
  secrets: SecretSource,
): Host {
  const local: LocalEgress[] = config.egress.local.map((entry) => ({
    action: entry.action,
    methods: entry.methods.map((wanted) => {
      const method = HTTP_METHODS.find((known) => known === wanted);
      if (method === undefined)
        throw new StartError("config_invalid", `egress.local: ${wanted} is not a method`);
      return method;
    }),
    pathPrefix: entry.path_prefix,
    host: entry.host,
    address: entry.address,
    port: entry.port,
    caFile: entry.ca_file === undefined ? null : resolve(dir, entry.ca_file),
  }));
  const { proxy } = config.egress;
  if (proxy === undefined && config.egress.proxy_secret !== undefined)
    throw new StartError("config_invalid", "egress.proxy_secret: there is no egress.proxy to log in to");
  return createHost({
    fsRoots,
    localEgress: local,
    connections,
    ...(proxy === undefined ? {} : { proxy: { url: proxy, secret: config.egress.proxy_secret ?? null } }),
    secrets,
    ...(config.egress.dns_servers.length === 0 ? {} : { nameServers: config.egress.dns_servers }),
  });
}

/** The folders of file actions, canonical; the first is that of sessions which ask for none. */
export function fileRoots(config: Config, dir: string): readonly [string, ...string[]] {
  const first = realpathSync(resolve(dir, "..", config.fs.root));
  const others = config.fs.allowed_roots.map((root) => realpathSync(root));
  return [first, ...new Set(others.filter((root) => root !== first))];
}

/** Local targets by action, as plans ask for them. */
export function localTargets(config: Config): Gate["localTargets"] {
  const byAction = new Map<string, LocalTarget[]>();
  for (const { action, host, port, ca_file: ca } of config.egress.local)
    byAction.set(action, [...(byAction.get(action) ?? []), { host, port, plain: ca === undefined }]);
  return byAction;
}
