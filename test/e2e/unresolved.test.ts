/** Calls whose outcome a crash took: listed from the file alone, closed at the next start. And a clock that was ahead. */
import { expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { openPolicy, startGate } from "../gate-process.ts";
import { cutLog, payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent } from "../wire-client.ts";

test("a ledger file without its gate: grants without a receipt are listed, until a start has closed them", async () => {
  await using upstream = await startUpstream();
  const gate = await startGate({
    policy: openPolicy(),
    config: upstream.setup.config,
    files: { "README.md": "# hello\n", ...upstream.setup.files },
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  const file = join(gate.root, "copy.db");
  const list = async (path: string) => {
    const { code, stdout } = await gate.run("audit", "--unresolved", "--ledger", path, "--json");
    return { code, events: code === 0 ? JSON.parse(stdout).events : null };
  };
  expect(await list(gate.ledger)).toEqual({ code: 0, events: [] });
  await gate.stop();
  // What a crash between grant and receipt leaves: the log up to its grant, and the row without a receipt.
  copyFileSync(gate.ledger, file);
  const granted = readRows(file)
    .map(payloadOf)
    .find(({ type }) => type === "call.granted");
  const at = Number(granted?.seq);
  withDatabase(gate.ledger, (db) => cutLog(db, at + 1));
  expect(await list(gate.ledger)).toMatchObject({
    code: 0,
    events: [{ grant_id: granted?.grant_id, action_id: "fs_read", seq: at, decision: "grant" }],
  });
  const restarted = await gate.restart();
  expect(await list(gate.ledger)).toEqual({ code: 0, events: [] });
  const receipt = readRows(gate.ledger)
    .map(payloadOf)
    .find(({ type }) => type === "call.receipt");
  expect(receipt).toMatchObject({
    grant_id: granted?.grant_id,
    status: "indeterminate",
    dispatched: "unknown",
  });
  expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
  await restarted.stop();
  // A file that lies is no list, and neither is one that is no ledger.
  withDatabase(file, (db) => db.run("DELETE FROM entries WHERE seq = 1"));
  expect((await list(file)).code).toBe(1);
  expect((await list(join(gate.root, "README.md"))).code).toBe(1);
  expect((await gate.run("audit", "--ledger", gate.ledger)).code).toBe(2);
  expect((await gate.run("audit", "--unresolved", "--ledger", gate.ledger, "--action", "x")).code).toBe(2);
  await restarted[Symbol.asyncDispose]();
}, 30_000);

test("a clock that stands before the log's time: the gate says so, and proofs by the old time are not fresh", async () => {
  const gate = await startGate({ policy: openPolicy(), files: { "README.md": "# hello\n" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  await gate.stop();
  const ahead = Date.now() + 240_000;
  withDatabase(gate.ledger, (db) =>
    db.query("INSERT OR REPLACE INTO meta (name, value) VALUES ('clock_high', ?)").run(String(ahead)),
  );
  const restarted = await gate.restart();
  expect(restarted.stderr()).toContain("the clock stands");
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(401);
  await restarted[Symbol.asyncDispose]();
}, 30_000);
