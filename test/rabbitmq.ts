import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Identity } from "./certificates.ts";
import { freePort } from "./free-port.ts";
import { untilPrinted } from "./until-printed.ts";

/** Where Debian keeps the program; the script of the same name on the path asks for its own account. */
export const RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export interface RabbitMq {
  readonly port: number;
  readonly tlsPort: number;
  readonly user: string;
  readonly password: string;
  stop(): Promise<void>;
}

/** Starts RabbitMQ on loopback, in a folder and with a name server of its own, and waits until it serves. */
export async function startRabbitMq(identity: Identity): Promise<RabbitMq> {
  const home = mkdtempSync(join(tmpdir(), "latchgate-rabbitmq-"));
  const [port, tlsPort, distribution, names] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const user = "gate";
  const password = "correct horse battery";
  mkdirSync(join(home, "log"));
  writeFileSync(join(home, "cert.pem"), identity.cert);
  writeFileSync(join(home, "key.pem"), identity.key, { mode: 0o600 });
  writeFileSync(join(home, "plugins"), "[].\n");
  writeFileSync(
    join(home, "rabbitmq.conf"),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
      `ssl_options.certfile = ${home}/cert.pem`,
      `ssl_options.keyfile = ${home}/key.pem`,
      `default_user = ${user}`,
      `default_pass = ${password}`,
      "",
    ].join("\n"),
  );
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(names),
    ERL_MAX_PORTS: "4096",
    RABBITMQ_NODENAME: `latchgate${port}@localhost`,
    RABBITMQ_CONFIG_FILE: join(home, "rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: join(home, "none"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, "plugins"),
    RABBITMQ_MNESIA_BASE: join(home, "mnesia"),
    RABBITMQ_LOG_BASE: join(home, "log"),
    RABBITMQ_LOGS: "-",
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
  };
  const child = Bun.spawn([RABBITMQ], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  const stop = async () => {
    process.off("exit", kill);
    child.kill("SIGTERM");
    await child.exited;
    // The name server outlives its nodes; this one is ours alone, by its port.
    await Bun.spawn(["epmd", "-port", String(names), "-kill"], { env, stdout: "ignore", stderr: "ignore" })
      .exited;
    rmSync(home, { recursive: true, force: true });
  };
  const log = await untilPrinted(child.stdout, "Server startup complete");
  if (log !== null) {
    await stop();
    throw new Error(`rabbitmq did not start: ${log}`);
  }
  return { port, tlsPort, user, password, stop };
}
