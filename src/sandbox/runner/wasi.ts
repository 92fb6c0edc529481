import { AbiError, type GuestMemory } from "../abi/guest-memory.ts";
import { lowerBytes } from "../abi/lower.ts";
import type { WasiFunction } from "../wit/wasi.ts";

/**
 * A core function behind a lowered function of WASI: core values in, one 64-bit value out, or nothing where the result
 * goes to memory. The component declared its type, so each argument is checked. Throws {@link AbiError}.
 */
type WasiCall = (args: readonly unknown[], memory: GuestMemory | null) => bigint | undefined;

const NANOSECONDS = 1_000_000n;
const MOST_RANDOM_BYTES = 65_536n;

/** Whole microseconds: what the engine's clock gives. */
function monotonic(): bigint {
  return BigInt(Math.floor(performance.now() * 1_000)) * 1_000n;
}

function wallClock(args: readonly unknown[], memory: GuestMemory | null): undefined {
  const now = BigInt(Date.now());
  datetime(now / 1_000n, Number((now % 1_000n) * NANOSECONDS), args, memory);
}

/** A record of seconds (u64) and nanoseconds (u32). */
function datetime(
  seconds: bigint,
  nanoseconds: number,
  args: readonly unknown[],
  memory: GuestMemory | null,
) {
  const view = present(memory).view(address(args[0]), 16, 8);
  view.setBigUint64(0, seconds, true);
  view.setUint32(8, nanoseconds, true);
}

function random64(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n;
}

function randomBytes(args: readonly unknown[], memory: GuestMemory | null): undefined {
  const [length, result] = args;
  if (typeof length !== "bigint") throw new AbiError("a length is not of 64 bits");
  if (BigInt.asUintN(64, length) > MOST_RANDOM_BYTES)
    throw new AbiError(`more than ${MOST_RANDOM_BYTES} random bytes at a time`);
  const to = present(memory);
  const [ptr, size] = lowerBytes(crypto.getRandomValues(new Uint8Array(Number(length))), to);
  const view = to.view(address(result), 8, 4);
  view.setUint32(0, ptr, true);
  view.setUint32(4, size, true);
}

function seed(args: readonly unknown[], memory: GuestMemory | null): undefined {
  const view = present(memory).view(address(args[0]), 16, 8);
  view.setBigUint64(0, random64(), true);
  view.setBigUint64(8, random64(), true);
}

/** By the names of WASI 0.2. The insecure sources are as good as the others. */
export const WASI: Readonly<Record<WasiFunction, WasiCall>> = {
  "wasi:clocks/monotonic-clock.now": monotonic,
  "wasi:clocks/monotonic-clock.resolution": () => 1_000n,
  "wasi:clocks/wall-clock.now": wallClock,
  "wasi:clocks/wall-clock.resolution": (args, memory) => {
    datetime(0n, Number(NANOSECONDS), args, memory);
    return undefined;
  },
  "wasi:random/random.get-random-bytes": randomBytes,
  "wasi:random/random.get-random-u64": random64,
  "wasi:random/insecure.get-insecure-random-bytes": randomBytes,
  "wasi:random/insecure.get-insecure-random-u64": random64,
  "wasi:random/insecure-seed.insecure-seed": seed,
};

function present(memory: GuestMemory | null): GuestMemory {
  if (memory === null) throw new AbiError("a lowered function without memory");
  return memory;
}

function address(value: unknown): number {
  if (typeof value !== "number") throw new AbiError("an address is not of 32 bits");
  return value >>> 0;
}
