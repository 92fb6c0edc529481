import { closeSync, openSync, readSync } from "node:fs";
import { messageOf } from "../core/errors.ts";
import { quoted } from "./argv.ts";
import { UsageError } from "./exit-code.ts";

/** Longer input could not be sent: the gate takes bodies of 1 MiB at most. */
const LONGEST = 1024 * 1024;

/** The bytes of a file, or of stdin for `-`. Pipes and devices are read too, up to the limit. */
export function readSource(path: string): Buffer {
  let fd: number;
  try {
    fd = path === "-" ? 0 : openSync(path, "r");
  } catch (cause) {
    throw new UsageError(`cannot read ${quoted(path)}: ${messageOf(cause)}`);
  }
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for (;;) {
      const chunk = Buffer.alloc(65_536);
      const read = readSync(fd, chunk, 0, chunk.length, null);
      if (read === 0) return Buffer.concat(chunks);
      size += read;
      if (size > LONGEST)
        throw new UsageError(`${quoted(path)} is longer than the ${LONGEST} bytes that a call may have`);
      chunks.push(chunk.subarray(0, read));
    }
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`cannot read ${quoted(path)}: ${messageOf(cause)}`);
  } finally {
    if (fd !== 0) closeSync(fd);
  }
}
