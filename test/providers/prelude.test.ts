import { expect, test } from "bun:test";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { PRELUDE } from "../../src/providers/prelude.ts";

/** The engine's own, and the prelude's in a context that has none. */
const ours = runInNewContext(`${PRELUDE}; ({ TextEncoder, TextDecoder })`, {}) as Pick<
  typeof globalThis,
  "TextEncoder" | "TextDecoder"
>;

test("encodes as the engine does, lone surrogates included", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff)), (units) => {
      const text = String.fromCharCode(...units);
      expect([...new ours.TextEncoder().encode(text)]).toEqual([...new TextEncoder().encode(text)]);
    }),
    { seed: 7, numRuns: 300 },
  );
});

test("decodes as the engine does, what is not utf-8 included", () => {
  const lead = fc.constantFrom(
    0x00,
    0x41,
    0x7f,
    0x80,
    0xbf,
    0xc0,
    0xc2,
    0xdf,
    0xe0,
    0xed,
    0xef,
    0xbb,
    0xf0,
    0xf4,
    0xf5,
    0x9f,
    0xa0,
    0x90,
    0x8f,
  );
  fc.assert(
    fc.property(fc.array(lead, { maxLength: 12 }), (list) => {
      const bytes = Uint8Array.from(list);
      expect(new ours.TextDecoder().decode(bytes)).toBe(new TextDecoder().decode(bytes));
      const attempt = (decoder: { decode(bytes: Uint8Array): string }) => {
        try {
          return decoder.decode(bytes);
        } catch (error) {
          return (error as Error).name;
        }
      };
      expect(attempt(new ours.TextDecoder("utf-8", { fatal: true, ignoreBOM: true }))).toBe(
        attempt(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })),
      );
    }),
    { seed: 7, numRuns: 2_000 },
  );
});
