import { dlopen, FFIType, read } from "bun:ffi";
import { LatchGateError } from "../../core/errors.ts";

/** Makes one system call; the result, or the negative errno. */
export type Kernel = (number: number, ...args: readonly (number | bigint)[]) => number;

let loaded: Kernel | null = null;

/** syscall(2) of the C library, for this thread. Throws where there is none. */
export function openKernel(): Kernel {
  loaded ??= load();
  return loaded;
}

function load(): Kernel {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new LatchGateError(
      "platform_unsupported",
      `runners can be locked on linux x64 alone, and this is ${process.platform} ${process.arch}`,
    );
  const word = FFIType.i64;
  const { symbols } = dlopen("libc.so.6", {
    syscall: { args: [word, word, word, word, word, word, word], returns: word },
    __errno_location: { args: [], returns: FFIType.ptr },
  });
  const errnoAt = symbols.__errno_location();
  if (errnoAt === null) throw new Error("the c library has no errno");
  return (number, ...args) => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
    const result = Number(symbols.syscall(number, a, b, c, d, e, f));
    return result === -1 ? -read.i32(errnoAt) : result;
  };
}
