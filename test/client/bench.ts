import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../src/core/json.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { generateKey, writeKeyFile } from "../../src/keys/key-file.ts";
import { FakeGate } from "./fake-gate.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A scratch folder with a fake gate on two sockets, and the program to run against it. */
export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), "latchgate-test-"));
  readonly gate = new FakeGate();
  readonly admin = new FakeGate();
  readonly socket = join(this.dir, "run/gate.sock");
  readonly stateHome = join(this.dir, "state");
  /** Where the program keeps its key and leases. */
  readonly state = join(this.stateHome, "latchgate");

  async start(): Promise<this> {
    mkdirSync(this.stateHome, { mode: 0o700 });
    await this.gate.listen(this.socket);
    await this.admin.listen(join(this.dir, "run/gate-admin.sock"));
    return this;
  }

  async stop(): Promise<void> {
    await this.gate.close();
    await this.admin.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get env(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "",
      HOME: this.dir,
      XDG_STATE_HOME: this.stateHome,
      LATCHGATE_SOCKET: this.socket,
    };
  }

  /** Puts an operator's key into the state folder and makes the admin socket know it. */
  addOperator(id: string): string {
    const key = generateKey("p256");
    const dir = join(this.state, "operators");
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, `${id}.pem`);
    writeKeyFile(path, key);
    this.admin.operators.set(id, thumbprint(publicJwk(key)));
    return path;
  }

  /** Runs `latchgate` with the words, away from any terminal. */
  async run(
    words: readonly string[],
    options: { env?: Record<string, string | undefined>; stdin?: string; cwd?: string } = {},
  ): Promise<Ended> {
    const child = Bun.spawn([process.execPath, MAIN, ...words], {
      cwd: options.cwd ?? this.dir,
      env: { ...this.env, ...options.env },
      stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
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

  /**
   * Runs `latchgate` on a pseudo-terminal. Each answer is typed once its question has been shown.
   * `screen` is everything that appeared.
   */
  async runOnTerminal(
    words: readonly string[],
    answers: readonly (readonly [question: string, answer: string])[] = [],
    env: Record<string, string | undefined> = {},
  ): Promise<{ code: number; screen: string }> {
    let screen = "";
    let next = 0;
    let read = 0;
    const child = Bun.spawn([process.execPath, MAIN, ...words], {
      cwd: this.dir,
      env: { ...this.env, TERM: "xterm", ...env },
      terminal: {
        cols: 200,
        rows: 50,
        data(terminal, chunk) {
          screen += Buffer.from(chunk).toString("utf8");
          const due = answers[next];
          const at = due === undefined ? -1 : screen.indexOf(due[0], read);
          if (due === undefined || at < 0) return;
          read = at + due[0].length;
          next++;
          terminal.write(due[1]);
        },
      },
    });
    const code = await child.exited;
    child.terminal?.close();
    return { code, screen };
  }
}

/** The error that `--json` prints on stderr. */
export function errorOf(ended: Ended): { code: string; message: string; hint: string | null } {
  const line = ended.stderr.trim().split("\n").at(-1) ?? "";
  const parsed = JSON.parse(line) as {
    ok: boolean;
    error: { code: string; message: string; hint: string | null };
  };
  if (parsed.ok !== false) throw new Error("an error says ok: false");
  return parsed.error;
}

export function jsonOf(ended: Ended): JsonObject {
  return JSON.parse(ended.stdout) as JsonObject;
}
