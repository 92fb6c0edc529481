import type { Transform } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib";
import type { Header } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";
import type { Scrubber } from "../scrub/scrubber.ts";
import type { ScrubStream } from "../scrub/stream.ts";

/** What a body's end or fault is told to. */
export interface BodyListener {
  whole(body: Buffer): void;
  fault(failure: HostFailure): void;
  /** A decoder took all that was written to it: more may come. */
  drained(): void;
}

const CODINGS = ["gzip", "x-gzip", "deflate", "br", "zstd"] as const;
type Coding = (typeof CODINGS)[number];
/** More layers than any server has a reason for. */
const MOST_CODINGS = 3;
/** 8 MiB, which RFC 8878 §3.1.1.1.2 asks of every decoder. */
const ZSTD_WINDOW_LOG = 23;

/**
 * The codings of a body, outermost last (RFC 9110 §8.4). One that is not known is a fault: what cannot be read cannot
 * be searched for credentials either. Throws {@link HostFailure} `malformed_response`.
 */
export function codingsOf(headers: readonly Header[]): readonly Coding[] {
  const codings: Coding[] = [];
  for (const [name, value] of headers) {
    if (name !== "content-encoding") continue;
    for (const token of value.split(",")) {
      const text = token.trim().toLowerCase();
      if (text === "" || text === "identity") continue;
      const coding = CODINGS.find((known) => known === text);
      if (coding === undefined || codings.length === MOST_CODINGS)
        throw new HostFailure("malformed_response", "body has a coding that is not known");
      codings.push(coding);
    }
  }
  return codings;
}

/**
 * Takes a body as it arrives: decodes it, keeps it under its limit, and takes credentials out of it, piece by piece,
 * so that neither a large body nor one that grows without end holds up other calls. The other side controls it all.
 */
export class BodyReader {
  private readonly cap: number;
  private readonly scrubber: Scrubber | null;
  private readonly scrubbing: ScrubStream | null;
  private readonly listener: BodyListener;
  private readonly codings: readonly Coding[];
  private decoders: readonly Transform[] | null = null;
  private readonly pieces: Buffer[] = [];
  private bytes = 0;
  private over = false;

  constructor(codings: readonly Coding[], cap: number, scrubber: Scrubber | null, listener: BodyListener) {
    this.codings = codings;
    this.cap = cap;
    this.scrubber = scrubber;
    this.scrubbing = scrubber?.stream() ?? null;
    this.listener = listener;
  }

  /** False when the caller should wait for `drained`. */
  write(chunk: Buffer): boolean {
    if (this.over || chunk.length === 0) return true;
    if (this.codings.length === 0) {
      this.keep(chunk);
      return true;
    }
    this.decoders ??= this.open(chunk[0] ?? 0);
    return this.decoders[0]?.write(chunk) ?? true;
  }

  end(): void {
    if (this.over) return;
    // A coded body without a byte is what a HEAD or 304 has.
    if (this.decoders === null) this.finish();
    else this.decoders[0]?.end();
  }

  /** Nothing is told any more. */
  stop(): void {
    this.over = true;
    for (const decoder of this.decoders ?? []) decoder.destroy();
  }

  private open(first: number): readonly Transform[] {
    const decoders = this.codings.toReversed().map((coding, i) => decoder(coding, i === 0 ? first : null));
    for (const [i, one] of decoders.entries()) {
      one.on("error", (cause) =>
        this.fail(new HostFailure("malformed_response", "body cannot be decoded", { cause })),
      );
      const next = decoders[i + 1];
      if (next !== undefined) one.pipe(next);
    }
    decoders[0]?.on("drain", () => this.listener.drained());
    decoders.at(-1)?.on("data", (piece: Buffer) => this.keep(piece));
    decoders.at(-1)?.on("end", () => this.finish());
    return decoders;
  }

  private keep(piece: Buffer): void {
    if (this.over) return;
    this.bytes += piece.length;
    if (this.bytes > this.cap) {
      this.fail(new HostFailure("response_too_large", "body over the limit"));
      return;
    }
    this.pieces.push(this.scrubbing === null ? piece : this.scrubbing.push(piece));
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    if (this.scrubber !== null && this.scrubbing !== null)
      this.pieces.push(this.scrubber.finish(this.scrubbing));
    this.listener.whole(Buffer.concat(this.pieces));
  }

  private fail(failure: HostFailure): void {
    if (this.over) return;
    this.stop();
    this.listener.fault(failure);
  }
}

function decoder(coding: Coding, first: number | null): Transform {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "deflate":
      // RFC 9110 §8.4.1.2 means zlib; some servers send bare deflate, which never begins with zlib's method 8.
      return first === null || (first & 0x0f) === 8 ? createInflate() : createInflateRaw();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } });
  }
}
