import { afterAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { freshKey, send, WireAgent } from "../wire-client.ts";

test("a lease's folder lies below an allowed one as folders do, not as texts do", async () => {
  await using gate = await startGate({ policy: openPolicy(), files: { "src/a.txt": "a" } });
  const sibling = `${gate.root}-evil`;
  mkdirSync(sibling);
  writeFileSync(`${sibling}/b.txt`, "b");
  symlinkSync(sibling, `${gate.root}/link`);
  const { jwk } = await freshKey();
  const ask = (root: string) =>
    send(gate.clientSocket, {
      method: "POST",
      path: "/v1/leases",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ scopes: ["tools:call"], dpop_jwk: jwk, fs_root: root }),
    });
  expect((await ask(gate.root)).body.fs_root).toBe(gate.root);
  expect((await ask(`${gate.root}/src/../src/`)).body.fs_root).toBe(`${gate.root}/src`);
  for (const outside of [sibling, `${gate.root}/link`, `${gate.root}/..`, "/"])
    expect(await ask(outside)).toMatchObject({ status: 403, body: { error: "fs_root_denied" } });
});

/** A folder beside the project, with a file that a session of its own may read. */
const FOLDER = realpathSync(mkdtempSync(join(tmpdir(), "latchgate-private-folder-")));
mkdirSync(join(FOLDER, "src"));
writeFileSync(join(FOLDER, "src/a-telling-name.txt"), "inside");
afterAll(() => rmSync(FOLDER, { recursive: true }));
const SETUP = {
  policy: openPolicy(),
  files: { "src/b.txt": "b" },
  config: `[fs]\nallowed_roots = ["${FOLDER}"]`,
};

/** An agent whose session has a folder of its own. */
async function agentIn(gate: GateProcess, root: string): Promise<WireAgent> {
  const agent = await WireAgent.connect(gate.clientSocket);
  const answer = await send(gate.clientSocket, {
    method: "POST",
    path: "/v1/leases",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ scopes: ["tools:call"], dpop_jwk: agent.key.jwk, fs_root: root }),
  });
  expect(answer.status).toBe(200);
  agent.lease = answer.body.lease_jwt;
  agent.session = answer.body.session_id;
  return agent;
}

const bytesOf = (gate: GateProcess): Buffer =>
  Buffer.concat(
    ["", "-wal"]
      .map((suffix) => gate.ledger + suffix)
      .filter(existsSync)
      .map((path) => readFileSync(path)),
  );

test("the ledger's files hold no path: neither of a session's folder, nor of what its calls asked for", async () => {
  const gate = await startGate(SETUP);
  const agent = await agentIn(gate, FOLDER);
  const read = (path: string) => agent.execute("fs_read", { path });
  expect((await read("src/a-telling-name.txt")).body.output).toMatchObject({ text: "inside" });
  expect((await read("src/no-such-name.txt")).status).toBe(502);
  expect((await read("../src/outside-name.txt")).status).toBe(403);
  expect((await read("src/hidden-name/.env")).status).toBe(403);
  const held = await agent.execute("fs_write", { path: "src/written-name.txt", content: "told content" });
  expect(held.status).toBe(202);
  const nothing = () => {
    const bytes = bytesOf(gate);
    for (const told of [FOLDER, gate.root, "-name", "told content", "inside"])
      expect({ told, found: bytes.includes(told) }).toEqual({ told, found: false });
    expect(bytes.includes("call.held")).toBe(true);
  };
  nothing();
  // The folder outlives a restart, and a payload that was pruned in between does not take it away.
  await gate.stop();
  nothing();
  expect((await gate.run("audit", "prune", "--yes")).code).toBe(0);
  const restarted = await gate.restart();
  expect((await read("src/a-telling-name.txt")).body.output).toMatchObject({ text: "inside" });
  nothing();
  await restarted[Symbol.asyncDispose]();
}, 30_000);

test("a session whose folder is not kept any more, or is told in a row as another, does nothing", async () => {
  await using gate = await startGate({
    policy: openPolicy(),
    files: { "inner/a.txt": "a", "src/b.txt": "b" },
  });
  const agent = await agentIn(gate, `${gate.root}/inner`);
  withDatabase(gate.ledger, (db) => {
    db.run("PRAGMA busy_timeout = 5000");
    expect(db.run("UPDATE leases SET fs_root = ?", [gate.root]).changes).toBe(2);
  });
  expect(await agent.execute("fs_read", { path: "src/b.txt" })).toMatchObject({
    status: 401,
    body: { error: "invalid_lease" },
  });
}, 30_000);

test("a file of the schema before: paths give way to what their leases committed to, and are gone from the file", async () => {
  const gate = await startGate(SETUP);
  const agent = await agentIn(gate, FOLDER);
  const read = () => agent.execute("fs_read", { path: "src/a-telling-name.txt" });
  expect((await read()).status).toBe(200);
  await gate.stop();
  withDatabase(gate.ledger, (db) => {
    db.run("UPDATE leases SET fs_root = ? WHERE fs_root IS NOT NULL", [FOLDER]);
    db.run("UPDATE meta SET value = '2' WHERE name = 'schema'");
  });
  expect(bytesOf(gate).includes(FOLDER)).toBe(true);
  const restarted = await gate.restart();
  expect(bytesOf(restarted).includes(FOLDER)).toBe(false);
  const commitment = readRows(gate.ledger)
    .map(payloadOf)
    .findLast(({ type }) => type === "lease.issued")?.fs_root as { commitment: string };
  const rows = withDatabase(gate.ledger, (db) =>
    db.query<{ fs_root: string }, []>("SELECT fs_root FROM leases WHERE fs_root IS NOT NULL").all(),
  );
  expect(rows).toEqual([{ fs_root: commitment.commitment }]);
  expect((await read()).status).toBe(200);
  await restarted[Symbol.asyncDispose]();
}, 30_000);
