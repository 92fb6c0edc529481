import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeFrame, FrameReader, ProtocolError } from "../../../src/sandbox/protocol/frame.ts";

type Frame = readonly [kind: number, call: number, payload: Uint8Array];

const frame: fc.Arbitrary<Frame> = fc.tuple(
  fc.nat(255),
  fc.nat({ max: 0xffff_ffff }),
  fc.uint8Array({ maxLength: 300 }),
);

function reading(limit = 1000) {
  const frames: Frame[] = [];
  const reader = new FrameReader({
    limit: () => limit,
    frame: (kind, call, payload) => frames.push([kind, call, Uint8Array.from(payload)]),
  });
  return { frames, reader };
}

describe("FrameReader", () => {
  test("gives the same frames however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(400)), (sent, cuts) => {
        const stream = Buffer.concat(sent.map(([kind, call, payload]) => encodeFrame(kind, call, payload)));
        const { frames, reader } = reading();
        let at = 0;
        for (const cut of cuts) {
          reader.push(stream.subarray(at, at + cut));
          at += cut;
        }
        reader.push(stream.subarray(at));
        expect(frames).toEqual(sent.map(([kind, call, payload]) => [kind, call, Uint8Array.from(payload)]));
      }),
      { seed: 1 },
    );
  });

  test("refuses a frame above its limit at its header, before the payload has come", () => {
    const { frames, reader } = reading(10);
    const long = encodeFrame(17, 1, new Uint8Array(11));
    expect(() => reader.push(long.subarray(0, 9))).toThrow(ProtocolError);
    expect(frames).toEqual([]);
  });

  test("takes a frame of exactly its limit, and an empty one", () => {
    const { frames, reader } = reading(10);
    reader.push(Buffer.concat([encodeFrame(1, 2, new Uint8Array(10)), encodeFrame(3, 4)]));
    expect(frames.map(([kind, call, payload]) => [kind, call, payload.byteLength])).toEqual([
      [1, 2, 10],
      [3, 4, 0],
    ]);
  });

  test("asks for the limit of the very kind and call", () => {
    const asked: number[][] = [];
    const reader = new FrameReader({
      limit: (kind, call) => asked.push([kind, call]) && 5,
      frame: () => {},
    });
    reader.push(encodeFrame(20, 0xffff_ffff, new Uint8Array(5)));
    expect(asked).toEqual([[20, 0xffff_ffff]]);
  });

  test("answers garbage with frames or a protocol error, never with another error", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        const { reader } = reading(64);
        try {
          for (const chunk of chunks) reader.push(chunk);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
