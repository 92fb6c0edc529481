/** Starts the compiled binary as a gate in a scratch folder of its own, the way an operator would. */

import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createProject } from "../src/commands/first-start.ts";

export const ROOT = join(import.meta.dir, "..");
/** The shipped binary; `npm test` builds it first. */
export const BINARY = process.env.LATCHGATE_BINARY ?? join(ROOT, "dist/latchgate");

export interface GateSetup {
  /** Appended to `latchgate.toml`. */
  readonly config?: string;
  /** Replaces `policies/data.json`; by default the quickstart data. */
  readonly policy?: unknown;
  /** Files below the project root, by relative path. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Manifests by file name, for `.latchgate/actions`. */
  readonly actions?: Readonly<Record<string, string>>;
  /** Components for `.latchgate/providers`, stored under their digest. */
  readonly components?: readonly Uint8Array[];
  /** Command line put before the binary, such as strace or prlimit with their arguments. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Parent of the scratch folder; a real disk when durability is at stake. */
  readonly parent?: string;
}

export interface GateProcess {
  /** The project root: parent of `.latchgate`, and the root of file actions. */
  readonly root: string;
  /** The `.latchgate` folder. */
  readonly dir: string;
  readonly clientSocket: string;
  readonly adminSocket: string;
  readonly ledger: string;
  /** What `serve --json` printed. */
  readonly banner: Readonly<Record<string, string>>;
  readonly fingerprint: string;
  /** PEM file of the operator's key; the operator's id is `default`. */
  readonly operatorKey: string;
  /** Environment for client commands of this gate. */
  readonly env: Readonly<Record<string, string>>;
  readonly pid: number;
  /** Exit code once it has ended. */
  readonly exited: Promise<number>;
  stderr(): string;
  /** SIGTERM, and waits. Returns the exit code. */
  stop(): Promise<number>;
  /** SIGKILL, and waits. */
  kill(): Promise<void>;
  /** Starts the same folder again, after it ended. */
  restart(change?: Pick<GateSetup, "wrapper" | "env">): Promise<GateProcess>;
  /** Runs a command of the binary in the project root. */
  run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The digest under which manifests name a component: `sha256:<hex>`. */
export function digestOf(component: Uint8Array): string {
  return `sha256:${createHash("sha256").update(component).digest("hex")}`;
}

export async function startGate(setup: GateSetup = {}): Promise<GateProcess> {
  const scratch = mkdtempSync(join(setup.parent ?? tmpdir(), "latchgate-"));
  chmodSync(scratch, 0o700);
  const root = join(scratch, "project");
  const state = join(scratch, "state");
  mkdirSync(root, { mode: 0o700 });
  mkdirSync(state, { mode: 0o700 });
  const dir = join(root, ".latchgate");
  const { operatorKey } = createProject(dir, join(state, "latchgate"));
  if (setup.config !== undefined) appendFileSync(join(dir, "latchgate.toml"), `\n${setup.config}\n`);
  if (setup.policy !== undefined)
    writeFileSync(join(dir, "policies/data.json"), JSON.stringify(setup.policy));
  for (const [path, content] of Object.entries(setup.files ?? {})) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  for (const [name, yaml] of Object.entries(setup.actions ?? {}))
    writeFileSync(join(dir, "actions", name), yaml);
  for (const component of setup.components ?? [])
    writeFileSync(join(dir, "providers", `${digestOf(component).slice(7)}.wasm`), component);
  return launch({ scratch, root, dir, state, operatorKey }, setup);
}

/** Gates that run now; a test that fails half-way, or a runner that is stopped, must not leave one behind. */
const running = new Set<number>();
process.on("exit", () => {
  for (const pid of running) signal(pid, "SIGKILL");
});

interface Place {
  readonly scratch: string;
  readonly root: string;
  readonly dir: string;
  readonly state: string;
  readonly operatorKey: string;
}

async function launch(place: Place, setup: GateSetup): Promise<GateProcess> {
  const { root, dir, state, operatorKey, scratch } = place;
  const env = { PATH: process.env.PATH ?? "", HOME: scratch, XDG_STATE_HOME: state, ...setup.env };
  const child = Bun.spawn([...(setup.wrapper ?? []), BINARY, "serve", "--json"], {
    cwd: root,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let stderr = "";
  const drained = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) stderr += decoder.decode(chunk, { stream: true });
  })();
  const banner = await firstLine(child.stdout);
  if (banner === null) {
    await child.exited;
    await drained;
    rmSync(scratch, { recursive: true, force: true });
    throw new Error(`the gate did not start: ${stderr}`);
  }
  const facts = JSON.parse(banner) as Record<string, string>;
  const lockPid = Number(readFileSync(join(dir, "ledger.lock"), "utf8"));
  running.add(lockPid);
  void child.exited.then(() => running.delete(lockPid));
  const gate: GateProcess = {
    root,
    dir,
    clientSocket: facts.socket ?? "",
    adminSocket: facts.admin ?? "",
    ledger: join(dir, "ledger.db"),
    banner: facts,
    fingerprint: facts.fingerprint ?? "",
    operatorKey,
    env,
    // Behind a wrapper the gate is not the child itself.
    pid: lockPid,
    exited: child.exited,
    stderr: () => stderr,
    stop: async () => {
      signal(lockPid, "SIGTERM");
      return child.exited;
    },
    kill: async () => {
      signal(lockPid, "SIGKILL");
      await child.exited;
    },
    restart: async (change = {}) => {
      await child.exited;
      return launch(place, { ...setup, ...change });
    },
    run: (...words) => runBinary(words, { cwd: root, env }),
    [Symbol.asyncDispose]: async () => {
      signal(lockPid, "SIGKILL");
      await child.exited;
      if (existsSync(scratch)) rmSync(scratch, { recursive: true, force: true });
    },
  };
  return gate;
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string | null> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return null;
    text += decoder.decode(value, { stream: true });
    const end = text.indexOf("\n");
    if (end < 0) continue;
    // Whatever it still prints must not fill the pipe.
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return text.slice(0, end);
  }
}

/** Runs the binary to its end. */
export async function runBinary(
  words: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly stdin?: string },
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([BINARY, ...words], {
    cwd: options.cwd,
    env: options.env,
    stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Policy data that lets one principal do everything, for tests whose subject is not policy. */
export function openPolicy(
  principal = `uid:${process.getuid?.()}`,
  more: Record<string, unknown> = {},
): unknown {
  const actions = [
    "http_fetch",
    "http_post",
    "http_put",
    "http_delete",
    "web_read",
    "fs_read",
    "fs_write",
    "fs_delete",
    "database_query",
    "database_execute",
  ];
  const effects = [
    "http_read",
    "http_write",
    "http_delete",
    "fs_read",
    "fs_write",
    "fs_delete",
    "db_read",
    "db_write",
  ];
  const extra = (more.actions as string[] | undefined) ?? [];
  return {
    policy_version: "test-1",
    acl: { [principal]: { allowed_actions: [...actions, ...extra], allowed_sinks: effects } },
    ...(more.approvals === undefined ? {} : { approvals: more.approvals }),
  };
}
