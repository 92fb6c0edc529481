import type { Automaton } from "./automaton.ts";

/** What stands where a credential stood: plain text that also fits into a JSON string. */
export const REDACTED = Buffer.from("[redacted]");

/**
 * One text in pieces of any size, handed on without what the automaton finds. Matches that overlap become one. Bytes
 * that may still turn out to begin a match are held back, never more than the longest pattern has.
 */
export class ScrubStream {
  private readonly automaton: Automaton;
  private state = 0;
  /** Bytes that are not decided yet, from text position `start` on. */
  private held: Buffer = Buffer.alloc(0);
  private start = 0;
  /** Matches within what is held, in order and apart from each other: from, to, from, to … */
  private readonly open: number[] = [];
  hits = 0;

  constructor(automaton: Automaton) {
    this.automaton = automaton;
  }

  /** The next piece; what of the text is now sure. */
  push(piece: Buffer): Buffer {
    const { root, firstChild, sibling, byte: bytes, fallback, depth, match } = this.automaton;
    const base = this.start + this.held.length;
    let state = this.state;
    // Every index is in range by construction: states are rows of the tables, and the root has one cell per byte.
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i] as number;
      let next = 0;
      while (state !== 0) {
        next = firstChild[state] as number;
        while (next !== 0 && bytes[next] !== byte) next = sibling[next] as number;
        if (next !== 0) break;
        state = fallback[state] as number;
      }
      state = state === 0 ? (root[byte] as number) : next;
      if (state === 0) continue;
      const length = match[state] as number;
      if (length !== 0) this.found(base + i + 1 - length, base + i + 1);
    }
    this.state = state;
    const text = this.held.length === 0 ? piece : Buffer.concat([this.held, piece]);
    return this.release(text, base + piece.length - (depth[state] as number));
  }

  /** The rest, once the text is over. */
  end(): Buffer {
    const rest = this.release(this.held, this.start + this.held.length);
    this.state = 0;
    return rest;
  }

  /** The end of a text that is cut there: what may be the beginning of a match is taken out like one. */
  cut(): Buffer {
    const held = this.held.length;
    this.held = Buffer.alloc(0);
    this.open.length = 0;
    this.state = 0;
    if (held === 0) return Buffer.alloc(0);
    this.hits += 1;
    return REDACTED;
  }

  /** Ends grow from match to match; a later one may start before an earlier one and swallow it. */
  private found(from: number, to: number): void {
    const { open } = this;
    let begin = from;
    while (open.length > 0 && (open.at(-1) ?? 0) > begin) {
      open.pop();
      begin = Math.min(begin, open.pop() ?? begin);
    }
    open.push(begin, to);
  }

  /** Hands on `text`, which begins at `start`, up to a position that no further match can reach back over. */
  private release(text: Buffer, sure: number): Buffer {
    const { open, start } = this;
    const parts: Buffer[] = [];
    let done = start;
    for (;;) {
      const [from = sure, to = sure] = open;
      parts.push(text.subarray(done - start, Math.min(from, sure) - start));
      done = Math.max(done, Math.min(to, sure));
      if (open.length === 0 || from >= sure) break;
      if (to > sure) {
        // It may still grow, but what it covers so far is decided and need not be kept.
        open[0] = sure;
        break;
      }
      parts.push(REDACTED);
      this.hits += 1;
      open.splice(0, 2);
    }
    this.held = Buffer.from(text.subarray(sure - start));
    this.start = sure;
    const [first, second] = parts;
    return first !== undefined && second === undefined ? first : Buffer.concat(parts);
  }
}
