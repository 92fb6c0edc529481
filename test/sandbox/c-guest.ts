import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentFromCore } from "../../scripts/assemblyscript.ts";

/** A component from C, compiled without any library: nothing of what a language promises stands between it and memory. */
export async function cGuest(source: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "c-guest-"));
  try {
    const [file, out] = [join(folder, "guest.c"), join(folder, "guest.wasm")];
    writeFileSync(file, source);
    const flags = [
      "--target=wasm32",
      "-O1",
      "-nostdlib",
      "-fno-builtin",
      "-Wl,--no-entry",
      "-Wl,--export-table",
    ];
    const { exitCode, stderr } = Bun.spawnSync(["clang", ...flags, "-o", out, file]);
    if (exitCode !== 0) throw new Error(`clang: ${stderr.toString()}`);
    return await componentFromCore(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
