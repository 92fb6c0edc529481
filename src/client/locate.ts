import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { findProject, type Project } from "../config/project.ts";
import type { Gate } from "./connection.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { ClientError } from "./errors.ts";

/** The origin that proofs are made out to, whatever the transport, unless the gate is set up with another. */
export const DEFAULT_BASE_URL = "http://localhost:3000";

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Value of `--dir`. */
  readonly dir?: string | undefined;
}

export interface Location {
  /** The listener for agents. */
  readonly client: Gate;
  /** The listener for operators; null when nothing says where it is. */
  readonly admin: Gate | null;
  /** Null when the environment names the gate. */
  readonly project: Project | null;
  /** `[operators.<id>]` of the project: id and key thumbprint, where it states one. */
  readonly operators: readonly { readonly id: string; readonly thumbprint: string | null }[];
}

/**
 * Finds the gate: `--dir`, then `LATCHGATE_URL`, `LATCHGATE_SOCKET` (empty means unset), then `LATCHGATE_DIR` or the
 * project folder above the current directory. A gate that the environment names takes nothing from a project folder
 * that happens to be near: its admin socket is `LATCHGATE_ADMIN_SOCKET`, else `gate-admin.sock` beside its socket.
 * Throws {@link ClientError} `gate_not_configured` and `gate_address`, and `ProjectError`.
 */
export async function locateGate(around: Surroundings): Promise<Location> {
  const baseFromEnv = nonEmpty(around.env.LATCHGATE_PUBLIC_BASE_URL);
  const admin = nonEmpty(around.env.LATCHGATE_ADMIN_SOCKET);
  const named = nonEmpty(around.env.LATCHGATE_URL) ?? nonEmpty(around.env.LATCHGATE_SOCKET);
  if (named !== undefined && (around.dir === undefined || around.dir === "")) {
    const client = parseEndpoint(named);
    const beside: Endpoint | null =
      client.kind === "unix" ? { kind: "unix", path: join(dirname(client.path), "gate-admin.sock") } : null;
    const baseUrl = base(baseFromEnv ?? DEFAULT_BASE_URL);
    const adminEndpoint = admin === undefined ? beside : parseEndpoint(admin);
    return {
      client: { endpoint: client, baseUrl },
      admin: adminEndpoint === null ? null : { endpoint: adminEndpoint, baseUrl },
      project: null,
      operators: [],
    };
  }
  const project = findProject(around);
  if (project === null)
    throw new ClientError("gate_not_configured", "there is no gate here: no project folder, and none named", {
      hint: "start one with latchgate serve, or set LATCHGATE_SOCKET to its socket",
    });
  const config = await readConfig(project.dir);
  const listen = tableOf(config.listen);
  // The gate's own loader lets these variables win over its file.
  const socket = (key: "client_socket" | "admin_socket", name: string): Endpoint => {
    const set = nonEmpty(around.env[`LATCHGATE_LISTEN_${key.toUpperCase()}`]) ?? textOf(listen, key);
    return { kind: "unix", path: resolve(project.dir, set ?? join("runtime", name)) };
  };
  const baseUrl = base(baseFromEnv ?? textOf(config, "public_base_url") ?? DEFAULT_BASE_URL);
  return {
    client: { endpoint: socket("client_socket", "gate.sock"), baseUrl },
    admin: {
      endpoint: admin === undefined ? socket("admin_socket", "gate-admin.sock") : parseEndpoint(admin),
      baseUrl,
    },
    project,
    operators: Object.entries(tableOf(config.operators)).map(([id, entry]) => ({
      id,
      thumbprint: textOf(tableOf(entry), "thumbprint") ?? null,
    })),
  };
}

const LONGEST_CONFIG = 1024 * 1024;

/** The project's `latchgate.toml`, unvalidated: that is the gate's business. Empty when there is none. */
async function readConfig(dir: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(dir, "latchgate.toml");
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new ClientError("gate_address", `cannot read ${path}`, { cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > LONGEST_CONFIG)
      throw new ClientError("gate_address", `${path} is not a file of at most ${LONGEST_CONFIG} bytes`);
    const { parse } = await import("smol-toml");
    return parse(readFileSync(fd, "utf8"));
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError("gate_address", `${path} is not valid toml`, {
      hint: "correct it, or name the gate's socket with LATCHGATE_SOCKET",
      cause,
    });
  } finally {
    closeSync(fd);
  }
}

function base(text: string): string {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text))
    throw new ClientError("gate_address", "the public base url is not an http or https url", {
      hint: `unset LATCHGATE_PUBLIC_BASE_URL, or set it to what the gate uses, e.g. ${DEFAULT_BASE_URL}`,
    });
  return text.replace(/\/+$/, "");
}

function tableOf(value: unknown): Readonly<Record<string, unknown>> {
  // What smol-toml gives for a table: an object of its members.
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function textOf(table: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = table[key];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
