import { LatchGateError } from "../../core/errors.ts";

/** The other side said something that the protocol does not have. It is given up, never repaired. */
export class ProtocolError extends LatchGateError {
  constructor(message: string) {
    super("runner_protocol", message);
  }
}

/** Kinds of frames. Gate to runner below 16, runner to gate above. */
export const FRAME = {
  load: 1,
  execute: 2,
  answer: 3,
  cancel: 4,
  hello: 16,
  hostCall: 17,
  log: 18,
  returned: 19,
  ended: 20,
  cancelled: 21,
  fatal: 22,
} as const;

/**
 * A frame is the length of its payload (u32), its kind (u8), the call it belongs to (u32, 0 for none), little-endian,
 * then the payload.
 */
export const HEADER_BYTES = 9;

export interface FrameSink {
  /** Longest payload to accept for a header; throws {@link ProtocolError} to refuse the frame. */
  limit(kind: number, call: number): number;
  /** The payload is a window on the reader's buffer: copy what outlives this call. */
  frame(kind: number, call: number, payload: Uint8Array): void;
}

/** Cuts a byte stream into frames. Reserves memory only after the sink has agreed to the length. */
export class FrameReader {
  private readonly sink: FrameSink;
  private readonly header = new Uint8Array(HEADER_BYTES);
  private readonly fields = new DataView(this.header.buffer);
  private headerFill = 0;
  private payload: Uint8Array | null = null;
  private payloadFill = 0;

  constructor(sink: FrameSink) {
    this.sink = sink;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.payload === null) {
        const part = chunk.subarray(at, at + HEADER_BYTES - this.headerFill);
        this.header.set(part, this.headerFill);
        this.headerFill += part.byteLength;
        at += part.byteLength;
        if (this.headerFill < HEADER_BYTES) return;
        at = this.begin(chunk, at);
        continue;
      }
      const part = chunk.subarray(at, at + this.payload.byteLength - this.payloadFill);
      this.payload.set(part, this.payloadFill);
      this.payloadFill += part.byteLength;
      at += part.byteLength;
      if (this.payloadFill === this.payload.byteLength) this.end(this.payload);
    }
  }

  /** A whole header is there: passes the frame on at once when the chunk holds all of it. */
  private begin(chunk: Uint8Array, at: number): number {
    const { length, kind, call } = this.parsed();
    const limit = this.sink.limit(kind, call);
    if (length > limit) throw new ProtocolError(`frame of ${length} bytes where ${limit} are allowed`);
    if (chunk.byteLength - at >= length) {
      this.end(chunk.subarray(at, at + length));
      return at + length;
    }
    this.payload = new Uint8Array(length);
    this.payloadFill = 0;
    return at;
  }

  private end(payload: Uint8Array): void {
    const { kind, call } = this.parsed();
    this.headerFill = 0;
    this.payload = null;
    this.sink.frame(kind, call, payload);
  }

  private parsed(): { length: number; kind: number; call: number } {
    const { fields } = this;
    return { length: fields.getUint32(0, true), kind: fields.getUint8(4), call: fields.getUint32(5, true) };
  }
}

/** One frame as bytes. */
export function encodeFrame(kind: number, call: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.byteLength;
  const frame = new Uint8Array(HEADER_BYTES + length);
  putU32(frame, 0, length);
  frame[4] = kind;
  putU32(frame, 5, call);
  let at = HEADER_BYTES;
  for (const part of parts) {
    frame.set(part, at);
    at += part.byteLength;
  }
  return frame;
}

/** Writes an integer below 2^32, little-endian. */
export function putU32(to: Uint8Array, at: number, value: number): void {
  to[at] = value;
  to[at + 1] = value >>> 8;
  to[at + 2] = value >>> 16;
  to[at + 3] = value >>> 24;
}
