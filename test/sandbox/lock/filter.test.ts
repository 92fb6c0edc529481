import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { assemble, INSTRUCTION_BYTES, VERDICT } from "../../../src/sandbox/lock/bpf.ts";
import { runnerFilter } from "../../../src/sandbox/lock/filter.ts";
import { TELLTALE_ERRNO } from "../../../src/sandbox/lock/probe.ts";
import { X64 } from "../../../src/sandbox/lock/system-calls.ts";
import { ARCH_X64, run } from "./machine.ts";

const PID = 4242;
const KILL = 0x8000_0000;
const ALLOW = 0x7fff_0000;
const EPERM = 0x0005_0001;
const filter = runnerFilter(PID, VERDICT.killProcess);
const verdict = (number: number, ...args: bigint[]) => run(filter, { number, args });

/** Those that a runner may make, whatever their arguments, by the numbers of the kernel's own table. */
const ALLOWED = [
  0, 1, 3, 11, 12, 14, 15, 24, 28, 39, 44, 45, 60, 96, 130, 186, 202, 204, 219, 228, 231, 233, 273, 281, 309,
  318, 334, 441,
];
const REFUSED = [2, 5, 8, 13, 16, 25, 32, 48, 53, 54, 55, 72, 89, 98, 99, 131, 257, 262, 267, 293, 302, 332];
/** Judged by their arguments. */
const CONDITIONAL = [X64.mmap, X64.mprotect, X64.clone, X64.prctl, X64.tgkill, X64.clone3];

describe("the filter of a runner", () => {
  test("allows and refuses the calls of its lists and kills for every other number", () => {
    for (let number = 0; number < 1024; number++) {
      if (CONDITIONAL.includes(number as (typeof CONDITIONAL)[number])) continue;
      const wanted = ALLOWED.includes(number) ? ALLOW : REFUSED.includes(number) ? EPERM : KILL;
      expect([number, verdict(number)]).toEqual([number, wanted]);
    }
  });

  test("kills for whatever comes by another interface, also where the number is a good one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1023 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (number, arch) => {
          fc.pre(arch !== ARCH_X64);
          expect(run(filter, { number, arch })).toBe(KILL);
        },
      ),
    );
    for (const number of [0, X64.getpid, X64.write]) {
      expect(run(filter, { number: number | 0x4000_0000 })).toBe(KILL);
      expect(run(filter, { number: -1 - number })).toBe(KILL);
    }
    // The probe's filter does not live to tell of it either.
    const probe = runnerFilter(PID, VERDICT.errno(TELLTALE_ERRNO));
    expect(run(probe, { number: X64.getpid, arch: 0x4000_0003 })).toBe(KILL);
  });

  test("maps and protects memory, but not to be executed", () => {
    const any = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(any, any, any, (address, length, protection) => {
        const wanted = (protection & 4n) === 0n ? ALLOW : KILL;
        expect(verdict(X64.mmap, address, length, protection)).toBe(wanted);
        expect(verdict(X64.mprotect, address, length, protection)).toBe(wanted);
      }),
    );
  });

  test("starts threads with the flags of a thread, and nothing that is one bit different", () => {
    expect(verdict(X64.clone, 0x3d0f00n)).toBe(ALLOW);
    for (let bit = 0n; bit < 64n; bit++) expect(verdict(X64.clone, 0x3d0f00n ^ (1n << bit))).toBe(KILL);
    expect(verdict(X64.clone, 17n)).toBe(KILL);
    expect(verdict(X64.clone3)).toBe(0x0005_0026);
  });

  test("names threads, and changes nothing else of itself", () => {
    expect(verdict(X64.prctl, 15n)).toBe(ALLOW);
    for (const option of [1n, 4n, 22n, 38n, 0x53564d41n])
      expect(verdict(X64.prctl, option)).toBe(0x0005_0016);
  });

  test("signals its own threads and no others", () => {
    expect(verdict(X64.tgkill, BigInt(PID), 9n, 9n)).toBe(ALLOW);
    for (const other of [0n, 1n, BigInt(PID) + 1n, BigInt(PID) - 1n, 2n ** 32n - 1n])
      expect(verdict(X64.tgkill, other, 9n, 9n)).toBe(KILL);
  });

  test("of the probe is the filter of a runner but for the last instruction's verdict", () => {
    const probe = runnerFilter(PID, VERDICT.errno(TELLTALE_ERRNO));
    expect(probe.byteLength).toBe(filter.byteLength);
    const last = filter.byteLength - INSTRUCTION_BYTES;
    expect(probe.subarray(0, last)).toEqual(filter.subarray(0, last));
    expect(new DataView(filter.buffer).getUint32(last + 4, true)).toBe(KILL);
    for (let number = 0; number < 1024; number++) {
      const [asked, told] = [verdict(number), run(probe, { number })];
      expect(told).toBe(asked === KILL ? 0x0005_0000 + TELLTALE_ERRNO : asked);
    }
  });
});

describe("the assembler", () => {
  test("refuses jumps back, to nowhere and beyond eight bits, and labels that stand twice", () => {
    const far = Array.from({ length: 256 }, () => ({ load: 0 }) as const);
    const go = { when: "equal", k: 0, go: "there" } as const;
    const there = { label: "there" } as const;
    const end = { verdict: 0 } as const;
    expect(() => assemble([there, go, end])).toThrow("not within reach");
    expect(() => assemble([go, end])).toThrow("not within reach");
    expect(() => assemble([go, ...far, there, end])).toThrow("not within reach");
    expect(() => assemble([go, there, there, end])).toThrow("stands twice");
    expect(() => assemble([])).toThrow("0 instructions");
  });
});
