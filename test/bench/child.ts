import { join } from "node:path";
import type { Subprocess } from "bun";

/** A bun script of this folder in a process of its own, spoken to in lines. */
export class BenchChild implements AsyncDisposable {
  private readonly process: Subprocess<"pipe", "pipe", "inherit">;
  private readonly lines: AsyncIterator<string>;
  private readonly name: string;

  constructor(script: string, ...words: readonly string[]) {
    this.name = script;
    this.process = Bun.spawn([process.execPath, join(import.meta.dir, script), ...words], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.lines = linesOf(this.process.stdout);
  }

  /** Throws when it ends without another one. */
  async line(): Promise<string> {
    const next = await this.lines.next();
    if (next.done === true) throw new Error(`${this.name} ended with status ${await this.process.exited}`);
    return next.value;
  }

  tell(line: string): void {
    this.process.stdin.write(`${line}\n`);
    this.process.stdin.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill();
    await this.process.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
