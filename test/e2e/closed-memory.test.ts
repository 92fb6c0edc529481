import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { startGate } from "../gate-process.ts";
import { requireTool } from "../require-tool.ts";
import { until } from "../sandbox/laboratory.ts";

/** Without the capabilities of root, which may read everything of everybody. */
const PLAIN = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"];
const withSetpriv = requireTool("setpriv", "apt-get install util-linux");

async function reads(path: string): Promise<boolean> {
  const child = Bun.spawn([...PLAIN, "head", "-c", "1", path], { stdout: "ignore", stderr: "ignore" });
  return (await child.exited) === 0;
}

withSetpriv("a program of the gate's own account reads neither its memory nor its environment", async () => {
  const open = Bun.spawn([...PLAIN, "sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    await until(() => readFileSync(`/proc/${open.pid}/comm`, "latin1") === "sleep\n");
    // What can be read of another process of the account, so that the refusal below is the gate's doing.
    expect(await reads(`/proc/${open.pid}/environ`)).toBe(true);
    expect(await reads(`/proc/${open.pid}/auxv`)).toBe(true);
    await using gate = await startGate({ wrapper: PLAIN });
    expect(await reads(`/proc/${gate.pid}/status`)).toBe(true);
    for (const secret of ["environ", "auxv", "mem", "maps"])
      expect([secret, await reads(`/proc/${gate.pid}/${secret}`)]).toEqual([secret, false]);
    expect(readFileSync(`/proc/${gate.pid}/limits`, "latin1")).toMatch(/^Max core file size +0 +0 /m);
  } finally {
    open.kill();
    await open.exited;
  }
});
