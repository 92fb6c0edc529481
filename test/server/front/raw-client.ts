import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createFront,
  type Front,
  type FrontOptions,
  type SocketLabel,
} from "../../../src/server/front/index.ts";

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Splits what a server sent into its answers. Throws on anything that is not whole answers with a length. */
export function readAnswers(text: string): Answer[] {
  const answers: Answer[] = [];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) throw new Error(`half a head: ${JSON.stringify(rest)}`);
    const [statusLine = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    const headers = new Map(
      lines.map((line) => [
        line.slice(0, line.indexOf(":")).toLowerCase(),
        line.slice(line.indexOf(":") + 1).trim(),
      ]),
    );
    const length = Number(headers.get("content-length") ?? (status === 204 ? 0 : Number.NaN));
    if (!Number.isInteger(status + length)) throw new Error(`not an answer: ${JSON.stringify(rest)}`);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length !== length) throw new Error(`half a body: ${JSON.stringify(rest)}`);
    answers.push({ status, headers, body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

/** A client that sends bytes as given. */
export class RawClient {
  readonly socket: Socket;
  private text = "";
  private readonly ended: Promise<void>;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
    });
    // A refusing server may cut the connection while this side still writes.
    socket.on("error", () => socket.destroy());
    this.ended = new Promise((resolve) => {
      socket.on("end", resolve);
      socket.on("close", () => resolve());
    });
  }

  static open(path: string): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path, allowHalfOpen: true });
      const client = new RawClient(socket);
      socket.once("connect", () => resolve(client));
      socket.once("error", reject);
    });
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The answers once there are so many. */
  async answers(count: number): Promise<Answer[]> {
    for (;;) {
      const answers = this.whole();
      if (answers.length >= count) return answers;
      await Promise.race([
        new Promise((resolve) => this.socket.once("data", resolve)),
        this.ended.then(() => {
          if (this.whole().length < count) throw new Error(`ended early: ${JSON.stringify(this.text)}`);
        }),
      ]);
    }
  }

  /** Every answer, once the server has ended the connection. */
  async untilEnd(): Promise<Answer[]> {
    await this.ended;
    this.socket.destroy();
    return readAnswers(this.text);
  }

  private whole(): Answer[] {
    try {
      return readAnswers(this.text);
    } catch {
      return [];
    }
  }
}

export interface OpenFront {
  readonly front: Front;
  readonly path: string;
  /** What handlers threw. */
  readonly errors: unknown[];
}

const opened: { readonly front: Front; readonly folder: string }[] = [];

/** A front on a socket of its own; {@link closeFronts} ends all. */
export async function openFront(
  onRequest: FrontOptions["onRequest"],
  options: Partial<FrontOptions> & { readonly label?: SocketLabel } = {},
): Promise<OpenFront> {
  const { label = "client", ...rest } = options;
  const folder = mkdtempSync(join(tmpdir(), "front-"));
  const path = join(folder, "gate.sock");
  const errors: unknown[] = [];
  const front = createFront({ onRequest, onError: (error) => errors.push(error), ...rest });
  opened.push({ front, folder });
  await front.listen({ path, mode: 0o600, label });
  return { front, path, errors };
}

export async function closeFronts(): Promise<void> {
  for (const { front, folder } of opened.splice(0)) {
    await front.close(0);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sends the bytes on a new connection and waits for its end. */
export async function converse(path: string, ...parts: (string | Uint8Array)[]): Promise<Answer[]> {
  const client = await RawClient.open(path);
  for (const part of parts) client.send(part);
  return client.untilEnd();
}
