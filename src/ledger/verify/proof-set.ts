import { randomFillSync } from "node:crypto";

/** Words of 32 bits that are kept of a hash: two of the same 128 bits are not to be found (a birthday costs 2^64). */
const WORDS = 4;

/**
 * A set of SHA-256 digests in a tenth of the memory that as many strings take: open addressing over their first 128
 * bits. Where a digest goes depends on a secret of this set, as an agent may choose what it is of.
 */
export class ProofSet {
  private slots = new Uint32Array(WORDS * 1024);
  private used = 0;
  /** The digest of zeros alone, which a free slot looks like. */
  private zero = false;
  private readonly secret = randomFillSync(new Uint32Array(WORDS)).map((word) => word | 1);
  private readonly wanted = new Uint32Array(WORDS);

  /** @param digest 64 hex digits */
  has(digest: string): boolean {
    if (this.read(digest)) return this.zero;
    return this.isAt(this.slots, this.place(this.slots));
  }

  add(digest: string): void {
    if (this.read(digest)) {
      this.zero = true;
      return;
    }
    const place = this.place(this.slots);
    if (this.isAt(this.slots, place)) return;
    this.slots.set(this.wanted, place);
    if (++this.used * WORDS * 2 > this.slots.length) this.grow();
  }

  /** Into `wanted`; whether it is zero. */
  private read(digest: string): boolean {
    let any = 0;
    for (let i = 0; i < WORDS; i++) {
      const word = Number.parseInt(digest.slice(8 * i, 8 * i + 8), 16);
      this.wanted[i] = word;
      any |= word;
    }
    return any === 0;
  }

  private isAt(slots: Uint32Array, place: number): boolean {
    for (let i = 0; i < WORDS; i++) if (slots[place + i] !== this.wanted[i]) return false;
    return true;
  }

  /** Where `wanted` is, or the free slot where it belongs. */
  private place(slots: Uint32Array): number {
    let hash = 0;
    for (let i = 0; i < WORDS; i++)
      hash = (Math.imul((this.wanted[i] ?? 0) ^ (hash >>> 15), this.secret[i] ?? 1) + hash) | 0;
    const mask = slots.length / WORDS - 1;
    for (let slot = (hash ^ (hash >>> 16)) & mask; ; slot = (slot + 1) & mask) {
      const place = slot * WORDS;
      const free = (slots[place] ?? 0) === 0 && slots[place + 1] === 0 && slots[place + 2] === 0;
      if ((free && slots[place + 3] === 0) || this.isAt(slots, place)) return place;
    }
  }

  private grow(): void {
    const larger = new Uint32Array(this.slots.length * 2);
    for (let place = 0; place < this.slots.length; place += WORDS) {
      this.wanted.set(this.slots.subarray(place, place + WORDS));
      if (this.wanted.some((word) => word !== 0)) larger.set(this.wanted, this.place(larger));
    }
    this.slots = larger;
  }
}
