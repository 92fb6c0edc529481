import type { Socket, SocketHandler } from "bun";
import { encodeFrame, FrameReader, type FrameSink } from "./frame.ts";

export interface Channel {
  /** Queues one frame and gives its number, from 1. After the channel has closed it does nothing. */
  send(kind: number, call: number, ...parts: readonly Uint8Array[]): number;
  /** Whether the frame of this number is with the kernel as a whole. */
  isSent(frame: number): boolean;
  /** Waits until every queued frame is with the kernel, or the channel has closed. */
  flushed(): Promise<void>;
  close(): void;
}

export interface ChannelEvents extends FrameSink {
  /** End of the stream, or what the sink or the reader threw. Called once. */
  closed(cause: Error | null): void;
}

/** Frames up to this length leave together; a longer one leaves as it is. */
const TOGETHER_BYTES = 65_536;

/** One end of the socket pair between gate and runner. Frames of one turn of the event loop leave in one write. */
export async function openChannel(fd: number, events: ChannelEvents): Promise<Channel> {
  const reader = new FrameReader(events);
  /** Frames that the kernel has not taken; of the first one what is left of it. */
  let queue: Uint8Array[] = [];
  /** Frames that were ever queued. */
  let queued = 0;
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
    let at = 0;
    while (at < queue.length) {
      // The other side decides how much it takes at a time: what waits is never copied as a whole for that.
      const end = endOfBatch(queue, at);
      const only = end === at + 1 ? queue[at] : undefined;
      const bytes = only ?? Buffer.concat(queue.slice(at, end));
      const written = socket.write(bytes);
      if (written < 0) return finish(new Error("the socket to the other side is gone"));
      at = end;
      if (written === bytes.byteLength) continue;
      // What the kernel did not take goes on when it has drained.
      blocked = true;
      queue[--at] = bytes.subarray(written);
      break;
    }
    queue = queue.slice(at);
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
      if (!open) return queued;
      queue.push(encodeFrame(kind, call, ...parts));
      queued++;
      if (!scheduled && !blocked) {
        scheduled = true;
        queueMicrotask(flush);
      }
      return queued;
    },
    isSent: (frame) => frame <= queued - queue.length,
    flushed() {
      return !open || queue.length === 0
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push(resolve));
    },
    close: () => finish(null),
  };
}

/** Where the frames end that leave together with the one at `start`. */
function endOfBatch(queue: readonly Uint8Array[], start: number): number {
  let bytes = 0;
  let end = start;
  for (; end < queue.length; end++) {
    bytes += queue[end]?.byteLength ?? 0;
    if (bytes > TOGETHER_BYTES) break;
  }
  return Math.max(end, start + 1);
}

function connectDescriptor(fd: number, socket: SocketHandler<undefined>): Promise<Socket<undefined>> {
  // Bun.connect takes a descriptor too; its declarations know only paths and ports.
  const connect = Bun.connect as unknown as (options: {
    readonly fd: number;
    readonly socket: SocketHandler<undefined>;
  }) => Promise<Socket<undefined>>;
  return connect({ fd, socket });
}
