import { turn } from "./turn.ts";

/**
 * Aho-Corasick over bytes. A step follows an edge or falls back to a shorter suffix, and falls back at most once for
 * each edge followed: the other side, which chooses the text, cannot make a search slower than linear. Edges are kept
 * as lists, since nearly every state has one.
 *
 * States are numbers; 0 is the start. Every index is in range by construction: states are rows of the tables, and the
 * root has one cell per byte. That is what the casts rest on.
 */
export class Automaton {
  /** Where each byte leads from the start. */
  readonly root = new Int32Array(256);
  readonly firstChild: Int32Array;
  readonly sibling: Int32Array;
  /** The byte on the edge that leads to a state. */
  readonly byte: Uint8Array;
  /** The longest proper suffix of a state that is a state. */
  readonly fallback: Int32Array;
  /** How long the text of a state is. */
  readonly depth: Uint16Array;
  /** Length of the longest pattern that ends in a state, 0 for none. */
  readonly match: Uint16Array;
  private states = 1;
  /** States whose children are to be linked, in the order of their depth: from `head` up to `tail`. */
  private queue = new Int32Array();
  private head = 0;
  private tail = 0;

  /** An automaton that finds nothing yet, with room for patterns of so many bytes together. */
  private constructor(bytes: number) {
    this.firstChild = new Int32Array(bytes + 1);
    this.sibling = new Int32Array(bytes + 1);
    this.byte = new Uint8Array(bytes + 1);
    this.fallback = new Int32Array(bytes + 1);
    this.depth = new Uint16Array(bytes + 1);
    this.match = new Uint16Array(bytes + 1);
  }

  /** Throws `RangeError` for a pattern of no bytes or more than 65,535. */
  static of(patterns: readonly Uint8Array[]): Automaton {
    const made = Automaton.roomFor(patterns);
    for (const pattern of patterns) made.insert(pattern);
    made.beginLinks();
    made.link(made.states);
    return made;
  }

  /** The same, a part at a time: a long credential makes a million states, and other calls get their turn meanwhile. */
  static async inTurns(patterns: readonly Uint8Array[]): Promise<Automaton> {
    const made = Automaton.roomFor(patterns);
    let since = 0;
    for (const pattern of patterns) {
      made.insert(pattern);
      since += pattern.length;
      if (since < PART) continue;
      since = 0;
      await turn();
    }
    made.beginLinks();
    while (!made.link(PART)) await turn();
    return made;
  }

  /** Bytes of its tables. */
  get size(): number {
    return this.root.byteLength + this.byte.length * 17;
  }

  /** Overwrites what the patterns can be read from. */
  clear(): void {
    for (const table of [this.root, this.firstChild, this.sibling, this.fallback]) table.fill(0);
    for (const table of [this.byte, this.depth, this.match]) table.fill(0);
  }

  private static roomFor(patterns: readonly Uint8Array[]): Automaton {
    let bytes = 0;
    for (const { length } of patterns) {
      if (length === 0 || length > 0xffff) throw new RangeError("pattern length");
      bytes += length;
    }
    return new Automaton(bytes);
  }

  private insert(pattern: Uint8Array): void {
    const { root, firstChild, sibling, byte: bytes, depth, match } = this;
    const { length } = pattern;
    let state = 0;
    let at = 0;
    for (; at < length; at++) {
      const byte = pattern[at] as number;
      let next = state === 0 ? (root[byte] as number) : (firstChild[state] as number);
      if (state !== 0) while (next !== 0 && bytes[next] !== byte) next = sibling[next] as number;
      if (next === 0) break;
      state = next;
    }
    // The rest is a run of states of its own.
    let made = this.states;
    for (; at < length; at++) {
      const byte = pattern[at] as number;
      bytes[made] = byte;
      depth[made] = at + 1;
      if (state === 0) root[byte] = made;
      else {
        sibling[made] = firstChild[state] as number;
        firstChild[state] = made;
      }
      state = made;
      made += 1;
    }
    this.states = made;
    match[state] = length;
  }

  private beginLinks(): void {
    this.queue = new Int32Array(this.states);
    for (const first of this.root) if (first !== 0) this.queue[this.tail++] = first;
  }

  /** Breadth first, so that every shorter state has its fallback already. Up to so many states; whether it is done. */
  private link(most: number): boolean {
    const { root, firstChild, sibling, byte: bytes, fallback, match, queue } = this;
    let { head, tail } = this;
    for (const end = head + most; head < tail && head < end; head++) {
      const state = queue[head] as number;
      const suffix = fallback[state] as number;
      // The pattern of a suffix is shorter than one that ends here itself.
      if (match[state] === 0) match[state] = match[suffix] as number;
      for (let next = firstChild[state] as number; next !== 0; next = sibling[next] as number) {
        const byte = bytes[next] as number;
        let from = suffix;
        let found = 0;
        while (from !== 0) {
          found = firstChild[from] as number;
          while (found !== 0 && bytes[found] !== byte) found = sibling[found] as number;
          if (found !== 0) break;
          from = fallback[from] as number;
        }
        fallback[next] = from === 0 ? (root[byte] as number) : found;
        queue[tail++] = next;
      }
    }
    this.head = head;
    this.tail = tail;
    if (head < tail) return false;
    this.queue = new Int32Array();
    return true;
  }
}

/** Bytes or states that are dealt with before other calls get their turn: about a millisecond. */
const PART = 32_768;
