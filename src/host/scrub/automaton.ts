/**
 * Aho-Corasick over bytes. A step follows an edge or falls back to a shorter suffix, and falls back at most once for
 * each edge followed: the other side, which chooses the text, cannot make a search slower than linear. Edges are kept
 * as lists, since nearly every state has one: the automaton is made for each call anew, so making it must be linear
 * as well.
 *
 * States are numbers; 0 is the start.
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

  constructor(patterns: readonly Uint8Array[]) {
    let size = 1;
    for (const pattern of patterns) {
      if (pattern.length === 0 || pattern.length > 0xffff) throw new RangeError("pattern length");
      size += pattern.length;
    }
    this.firstChild = new Int32Array(size);
    this.sibling = new Int32Array(size);
    this.byte = new Uint8Array(size);
    this.fallback = new Int32Array(size);
    this.depth = new Uint16Array(size);
    this.match = new Uint16Array(size);
    let states = 1;
    for (const pattern of patterns) {
      let state = 0;
      for (const byte of pattern) {
        let next = this.child(state, byte);
        if (next === 0) {
          next = states;
          states += 1;
          this.byte[next] = byte;
          this.depth[next] = at(this.depth, state) + 1;
          if (state === 0) this.root[byte] = next;
          else {
            this.sibling[next] = at(this.firstChild, state);
            this.firstChild[state] = next;
          }
        }
        state = next;
      }
      this.match[state] = pattern.length;
    }
    this.link(states);
  }

  /** Overwrites what the patterns can be read from. */
  clear(): void {
    for (const table of [this.root, this.firstChild, this.sibling, this.fallback]) table.fill(0);
    for (const table of [this.byte, this.depth, this.match]) table.fill(0);
  }

  private child(state: number, byte: number): number {
    if (state === 0) return at(this.root, byte);
    let next = at(this.firstChild, state);
    while (next !== 0 && at(this.byte, next) !== byte) next = at(this.sibling, next);
    return next;
  }

  /** Breadth first, so that every shorter state has its fallback already. */
  private link(states: number): void {
    const queue = new Int32Array(states);
    let tail = 0;
    for (const first of this.root) if (first !== 0) queue[tail++] = first;
    for (let head = 0; head < tail; head++) {
      const state = at(queue, head);
      const suffix = at(this.fallback, state);
      // The pattern of a suffix is shorter than one that ends here itself.
      if (at(this.match, state) === 0) this.match[state] = at(this.match, suffix);
      for (let next = at(this.firstChild, state); next !== 0; next = at(this.sibling, next)) {
        const byte = at(this.byte, next);
        let from = suffix;
        let found = this.child(from, byte);
        while (found === 0 && from !== 0) {
          from = at(this.fallback, from);
          found = this.child(from, byte);
        }
        this.fallback[next] = found;
        queue[tail++] = next;
      }
    }
  }
}

/** An element that is there by construction; the compiler cannot know. */
function at(list: Uint8Array | Uint16Array | Int32Array, index: number): number {
  return list[index] ?? 0;
}
