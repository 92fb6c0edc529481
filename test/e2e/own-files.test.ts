/** The binary has everything in it: a machine without the tree that it was built from is as good as any. */
import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, openPolicy, ROOT, startGate } from "../gate-process.ts";
import { requireTool } from "../require-tool.ts";
import { strace, traced } from "../strace.ts";
import { WireAgent } from "../wire-client.ts";

const withStrace = requireTool("strace", "apt-get install strace");

withStrace(
  "a gate that reads files and parses sql opens nothing of the tree that it was built from",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "latchgate-own-files-"));
    const log = join(folder, "trace");
    {
      await using gate = await startGate({
        wrapper: strace(log, "%file"),
        policy: openPolicy(),
        files: { "README.md": "# hello\n" },
        config: `[[connections.database]]
name = "main"
host = "127.0.0.1"
port = 1
database = "shop"
user = "gate"
tables = ["orders"]
`,
      });
      const agent = await WireAgent.connect(gate.clientSocket);
      expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
      const hidden = "with x as (delete from orders returning *) select * from x";
      const refused = await agent.execute("database_query", { statement: hidden });
      expect(refused.body.deny_reason).toStartWith("statement_refused: a with clause that changes data");
      expect(await gate.stop()).toBe(0);
    }
    const lines = traced(log);
    expect(lines.length).toBeGreaterThan(50);
    // The packages may be linked to from the tree.
    const places = [`"${ROOT}`, "/node_modules/"];
    const built = lines.filter((line) => places.some((place) => line.replaceAll(BINARY, "").includes(place)));
    expect(built).toEqual([]);
    rmSync(folder, { recursive: true });
  },
);
