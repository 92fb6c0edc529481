import { randomFillSync } from "node:crypto";

/** Fills a buffer with random bytes; a parameter, so that tests can seed it. */
export type RandomSource = (into: Uint8Array) => void;

export const systemRandom: RandomSource = (into) => {
  randomFillSync(into);
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Makes UUIDv7 identifiers (RFC 9562 §5.7), lower case, strictly increasing within one maker:
 * `rand_a` counts calls of the same millisecond (method 1 of §6.2).
 */
export function uuidv7Maker(now: () => number, random: RandomSource = systemRandom): () => string {
  let last = 0;
  let counter = 0;
  const bytes = new Uint8Array(8);
  return () => {
    const ms = now();
    if (ms > last) {
      last = ms;
      counter = 0;
    } else if (++counter > 0xfff) {
      last += 1;
      counter = 0;
    }
    random(bytes);
    const time = last.toString(16).padStart(12, "0");
    const randA = counter.toString(16).padStart(3, "0");
    bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x80;
    const randB = Buffer.from(bytes).toString("hex");
    return `${time.slice(0, 8)}-${time.slice(8)}-7${randA}-${randB.slice(0, 4)}-${randB.slice(4)}`;
  };
}

export function isUuidV7(text: string): boolean {
  return UUID.test(text);
}
