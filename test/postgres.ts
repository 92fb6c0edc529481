/** Starts a PostgreSQL of its own for a test: loopback, TLS, passwords; gone when the test ends. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { SQL } from "bun";
import { type Authority, issue, makeAuthority } from "./certificates.ts";

export const POSTGRES_INSTALL = "apt-get install postgresql";
/** What the server answers to for TLS; no name is resolved for it in tests that use the address. */
export const OPEN_ROLE = "open";
export const SUPERUSER = "postgres";
export const PASSWORD = "correct horse battery staple";

export interface PostgresServer {
  readonly port: number;
  readonly authority: Authority;
  /** Runs statements as the superuser. */
  admin(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  stop(): Promise<void>;
}

const folders = (): readonly string[] => {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, "bin"));
};

/** Where `initdb` and `postgres` are; null when PostgreSQL is not installed. */
export function postgresPrograms(): string | null {
  const onPath = Bun.which("initdb");
  const found = folders().find((folder) => existsSync(join(folder, "initdb")));
  return found ?? (onPath === null ? null : join(onPath, ".."));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** PostgreSQL refuses to run as root; the package makes an account for it. */
function asServer(command: readonly string[], home: string) {
  const root = process.getuid?.() === 0;
  const env = { PATH: process.env.PATH ?? "", LC_ALL: "C", HOME: home };
  const full = root
    ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", ...command]
    : command;
  return Bun.spawn([...full], { cwd: home, env, stdout: "pipe", stderr: "pipe" });
}

/** @param tls false makes a server that has no TLS to offer */
export async function startPostgres(tls = true): Promise<PostgresServer> {
  const programs = postgresPrograms();
  if (programs === null) throw new Error(`PostgreSQL is missing: ${POSTGRES_INSTALL}`);
  const home = mkdtempSync("/tmp/latchgate-pg-");
  const own = (path: string) => {
    if (process.getuid?.() !== 0) return;
    const id = (flag: string) => Number(Bun.spawnSync(["id", flag, "postgres"]).stdout.toString());
    chownSync(path, id("-u"), id("-g"));
  };
  own(home);
  const file = (name: string, text: string) => {
    const path = join(home, name);
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    own(path);
    return path;
  };
  const authority = makeAuthority("postgres test authority");
  const data = join(home, "data");
  const passwordFile = file("password", `${PASSWORD}\n`);
  const made = asServer(
    [
      join(programs, "initdb"),
      "-D",
      data,
      "--no-sync",
      "-E",
      "UTF8",
      "--locale=C",
      "-U",
      SUPERUSER,
      "-A",
      "scram-sha-256",
      `--pwfile=${passwordFile}`,
    ],
    home,
  );
  if ((await made.exited) !== 0) throw new Error(`initdb failed: ${await new Response(made.stderr).text()}`);
  // One role that TLS alone lets in: for gates whose configuration names no secret.
  const rules = join(data, "pg_hba.conf");
  writeFileSync(rules, `hostssl all ${OPEN_ROLE} 127.0.0.1/32 trust\n${readFileSync(rules, "utf8")}`);
  const port = await freePort();
  const identity = issue(authority, { names: ["db.test"], addresses: ["127.0.0.1"] });
  const certificate = file("server.crt", identity.cert);
  const key = file("server.key", identity.key);
  const server = asServer(
    [
      join(programs, "postgres"),
      "-D",
      data,
      "-p",
      String(port),
      "-k",
      home,
      ...["listen_addresses=127.0.0.1", "fsync=off", "log_statement=none"].flatMap((setting) => [
        "-c",
        setting,
      ]),
      ...(tls
        ? ["ssl=on", `ssl_cert_file=${certificate}`, `ssl_key_file=${key}`].flatMap((setting) => [
            "-c",
            setting,
          ])
        : []),
    ],
    home,
  );
  const stop = async () => {
    server.kill("SIGQUIT");
    await server.exited;
    rmSync(home, { recursive: true, force: true });
  };
  const admin = async (text: string) => {
    const sql = new SQL({
      adapter: "postgres",
      hostname: "127.0.0.1",
      port,
      username: SUPERUSER,
      password: PASSWORD,
      database: "postgres",
      tls: false,
      max: 1,
    });
    try {
      return [...(await sql.unsafe(text))];
    } finally {
      await sql.close({ timeout: 0 });
    }
  };
  // The server says when it takes connections.
  let said = "";
  for await (const chunk of server.stderr) {
    said += Buffer.from(chunk).toString();
    if (said.includes("database system is ready to accept connections")) break;
  }
  if (!said.includes("ready to accept")) {
    await stop();
    throw new Error(`postgres did not start: ${said}`);
  }
  return { port, authority, admin, stop };
}
