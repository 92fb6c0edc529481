import type { Socket, SocketHandler } from "bun";
import { encodeFrame, FrameReader, type FrameSink } from "./frame.ts";

export interface Channel {
  /** Queues one frame. After the channel has closed it does nothing. */
  send(kind: number, call: number, ...parts: readonly Uint8Array[]): void;
  /** Waits until every queued frame is with the kernel, or the channel has closed. */
  flushed(): Promise<void>;
  close(): void;
}

export interface ChannelEvents extends FrameSink {
  /** End of the stream, or what the sink or the reader threw. Called once. */
  closed(cause: Error | null): void;
}

/** One end of the socket pair between gate and runner. Frames of one turn of the event loop leave in one write. */
export async function openChannel(fd: number, events: ChannelEvents): Promise<Channel> {
  const reader = new FrameReader(events);
  let queue: Uint8Array[] = [];
  let scheduled = false;
  let blocked = false;
  let open = true;
  let waiting: (() => void)[] = [];

  const finish = (cause: Error | null) => {
    if (!open) return;
    open = false;
    queue = [];
    release();
    socket.terminate();
    events.closed(cause);
  };
  const release = () => {
    const done = waiting;
    waiting = [];
    for (const resolve of done) resolve();
  };
  const flush = () => {
    scheduled = false;
    if (!open || blocked || queue.length === 0) return;
    const bytes = queue.length === 1 && queue[0] !== undefined ? queue[0] : Buffer.concat(queue);
    const written = socket.write(bytes);
    if (written < 0) return finish(new Error("the socket to the other side is gone"));
    // What the kernel did not take goes on when it has drained.
    blocked = written < bytes.byteLength;
    queue = blocked ? [bytes.subarray(written)] : [];
    if (!blocked) release();
  };

  const handlers: SocketHandler<undefined> = {
    data(_socket, chunk) {
      if (!open) return;
      try {
        reader.push(chunk);
      } catch (error) {
        finish(error instanceof Error ? error : new Error(String(error)));
      }
    },
    drain() {
      blocked = false;
      flush();
    },
    end: () => finish(null),
    close: () => finish(null),
    error: (_socket, error) => finish(error),
  };
  const socket = await connectDescriptor(fd, handlers);

  return {
    send(kind, call, ...parts) {
      if (!open) return;
      queue.push(encodeFrame(kind, call, ...parts));
      if (scheduled || blocked) return;
      scheduled = true;
      queueMicrotask(flush);
    },
    flushed() {
      return !open || queue.length === 0
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push(resolve));
    },
    close: () => finish(null),
  };
}

function connectDescriptor(fd: number, socket: SocketHandler<undefined>): Promise<Socket<undefined>> {
  // Bun.connect takes a descriptor too; its declarations know only paths and ports.
  const connect = Bun.connect as unknown as (options: {
    readonly fd: number;
    readonly socket: SocketHandler<undefined>;
  }) => Promise<Socket<undefined>>;
  return connect({ fd, socket });
}
