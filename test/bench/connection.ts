import type { Socket } from "bun";

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * One kept-alive HTTP/1.1 connection over a Unix socket, one request at a time. As little work as possible: a load
 * generator shares the machine with what it measures.
 */
export class BenchConnection {
  private readonly socket: Socket<undefined>;
  private readonly received: { bytes: Buffer; waiting: PromiseWithResolvers<HttpAnswer> | null };

  private constructor(socket: Socket<undefined>, received: BenchConnection["received"]) {
    this.socket = socket;
    this.received = received;
  }

  static async open(path: string): Promise<BenchConnection> {
    const received: BenchConnection["received"] = { bytes: Buffer.alloc(0), waiting: null };
    const lost = (cause: Error) => {
      received.waiting?.reject(cause);
      received.waiting = null;
    };
    const socket = await Bun.connect({
      unix: path,
      socket: {
        data(_socket, chunk) {
          received.bytes =
            received.bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([received.bytes, chunk]);
          const answer = wholeAnswer(received.bytes);
          if (answer === null) return;
          received.bytes = Buffer.alloc(0);
          const { waiting } = received;
          received.waiting = null;
          waiting?.resolve(answer);
        },
        close: () => lost(new Error("the gate closed the connection")),
        error: (_socket, error) => lost(error),
      },
    });
    return new BenchConnection(socket, received);
  }

  /** Sends one request and resolves to its whole answer. */
  send(request: string): Promise<HttpAnswer> {
    const waiting = Promise.withResolvers<HttpAnswer>();
    this.received.waiting = waiting;
    if (this.socket.write(request) !== Buffer.byteLength(request))
      waiting.reject(new Error("the socket took less than one request"));
    return waiting.promise;
  }

  close(): void {
    this.socket.end();
  }
}

/** Null until all of it is there. */
function wholeAnswer(bytes: Buffer): HttpAnswer | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const head = bytes.toString("latin1", 0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without its length: ${head}`);
  const whole = end + 4 + Number(length);
  if (bytes.length < whole) return null;
  if (bytes.length > whole) throw new Error("more bytes than one answer");
  return { status: Number(head.slice(9, 12)), body: bytes.toString("utf8", end + 4) };
}
