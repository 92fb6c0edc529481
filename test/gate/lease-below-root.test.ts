/** A lease may ask for a folder below an allowed one: a narrower session, never a wider one. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { send, WireAgent, WireOperator } from "../wire-client.ts";

const FILES = {
  "src/a.txt": "a",
  "src/deep/b.txt": "inside",
  "src/deep/.env": "inside too",
  "vendor/src/c.txt": "vendor",
  // Inside of the root, where the action may read and write: the session's folder alone keeps it out.
  "docs/b.txt": "outside",
  "docs/deep/b.txt": "outside",
};
const RATES = "[rate_limits]\npeer_rps = 10000\nexecute_rps_per_session = 10000\n";
const start = (config = "") => startGate({ policy: openPolicy(), files: FILES, config: `${RATES}${config}` });

/** An agent whose session has a folder of its own. */
async function agentIn(gate: GateProcess, folder: string): Promise<WireAgent> {
  const agent = await WireAgent.connect(gate.clientSocket);
  const { status, body } = await ask(gate, agent, folder);
  expect({ status, folder: body.fs_root }).toEqual({ status: 200, folder });
  agent.lease = body.lease_jwt;
  agent.session = body.session_id;
  return agent;
}

const ask = (gate: GateProcess, agent: WireAgent, folder: string) =>
  send(gate.clientSocket, {
    method: "POST",
    path: "/v1/leases",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ scopes: ["tools:call"], dpop_jwk: agent.key.jwk, fs_root: folder }),
  });

test("a session below the root works in its folder, and not beside it", async () => {
  await using gate = await start();
  const agent = await agentIn(gate, join(gate.root, "src/deep"));
  const operator = await WireOperator.of(gate);
  const read = (path: string) => agent.execute("fs_read", { path });
  expect(await read("b.txt")).toMatchObject({
    status: 200,
    body: { output: { ok: true, path: "src/deep/b.txt", text: "inside" }, confirmed: true },
  });
  const held = await agent.execute("fs_write", { path: "new.txt", content: "new", mode: "create" });
  expect(held.status).toBe(202);
  expect((await operator.approve(held.body.approval_id)).body).toMatchObject({ confirmed: true });
  expect(readFileSync(join(gate.root, "src/deep/new.txt"), "utf8")).toBe("new");
  for (const path of ["../a.txt", "/src/a.txt", "./b.txt", "", ".env"])
    expect({ path, status: (await read(path)).status >= 400 }).toEqual({ path, status: true });
  expect((await read("a.txt")).status).toBe(502);
  expect(await gate.stop()).toBe(0);
  expect((await gate.run("verify", gate.ledger, "--strict")).code).toBe(0);
}, 30_000);

test("a lower folder does not move the patterns of an action: neither what is denied, nor what is allowed", async () => {
  await using gate = await start();
  const inside = await agentIn(gate, join(gate.root, ".latchgate"));
  for (const path of ["latchgate.toml", "policies/data.json", "ledger.db"])
    expect(await inside.execute("fs_read", { path })).toMatchObject({
      status: 403,
      body: { deny_reason: expect.stringContaining("path_denied") },
    });
  // Below the root this is vendor/src/c.txt, which no pattern allows: a human has to say so.
  const vendor = await agentIn(gate, join(gate.root, "vendor"));
  expect((await vendor.execute("fs_read", { path: "src/c.txt" })).status).toBe(202);
}, 30_000);

test("a lease for a folder whose name no path may have is refused", async () => {
  await using gate = await start();
  const agent = await WireAgent.connect(gate.clientSocket);
  for (const name of ["back\\slash", "turned\u202eround", "new\nline"]) {
    const folder = join(gate.root, name);
    mkdirSync(folder);
    expect(await ask(gate, agent, folder)).toMatchObject({ status: 400, body: { error: "invalid_fs_root" } });
  }
}, 30_000);

test("a session whose folder is not allowed any more, after a restart, does nothing", async () => {
  const gate = await start();
  const extra = `${gate.root}-extra`;
  mkdirSync(join(extra, "below/src"), { recursive: true });
  writeFileSync(join(extra, "below/src/d.txt"), "d");
  const config = join(gate.dir, "latchgate.toml");
  const before = readFileSync(config, "utf8");
  await gate.stop();
  writeFileSync(config, `${before}\n[fs]\nallowed_roots = ["${extra}"]\n`);
  const allowed = await gate.restart();
  const agent = await agentIn(allowed, join(extra, "below/src"));
  // Allowed by no pattern, as the root is the folder above: held.
  expect((await agent.execute("fs_read", { path: "d.txt" })).status).toBe(202);
  await allowed.stop();
  writeFileSync(config, before);
  await using _narrowed = await allowed.restart();
  expect(await agent.execute("fs_read", { path: "d.txt" })).toMatchObject({
    status: 401,
    body: { error: "invalid_lease" },
  });
}, 30_000);

describe("the session's folder is swapped for a link after the lease", () => {
  test("then nothing is read or written through it, whether it is that folder or one above", async () => {
    await using gate = await start();
    const operator = await WireOperator.of(gate);
    const at = (path: string) => join(gate.root, path);
    const agent = await agentIn(gate, at("src/deep"));
    const hold = () => agent.execute("fs_write", { path: "b.txt", content: "changed" });
    const [first, second] = [await hold(), await hold()];
    renameSync(at("src/deep"), at("src/was-deep"));
    symlinkSync("../docs", at("src/deep"));
    expect(await agent.execute("fs_read", { path: "b.txt" })).toMatchObject({
      status: 502,
      body: { failure: "symlink_escape", dispatched: "no" },
    });
    expect((await operator.approve(first.body.approval_id)).body).toMatchObject({ dispatched: "no" });
    unlinkSync(at("src/deep"));
    renameSync(at("src/was-deep"), at("src/deep"));
    renameSync(at("src"), at("was-src"));
    symlinkSync("docs", at("src"));
    expect(await agent.execute("fs_read", { path: "b.txt" })).toMatchObject({
      status: 502,
      body: { failure: "symlink_escape", dispatched: "no" },
    });
    expect((await operator.approve(second.body.approval_id)).body).toMatchObject({ dispatched: "no" });
    for (const path of ["docs/b.txt", "docs/deep/b.txt"])
      expect(readFileSync(at(path), "utf8")).toBe("outside");
  }, 30_000);

  test("and back, again and again, while calls run: what lies behind the link is never read", async () => {
    await using gate = await start();
    const at = (path: string) => join(gate.root, path);
    const agent = await agentIn(gate, at("src/deep"));
    const swap = (linked: boolean) => {
      if (linked) renameSync(at("src/deep"), at("aside"));
      else unlinkSync(at("src/deep"));
      if (linked) symlinkSync("../docs", at("src/deep"));
      else renameSync(at("aside"), at("src/deep"));
    };
    const seen = new Map<string, number>();
    let linked = false;
    for (let round = 0; round < 40; round++) {
      const calls = Array.from({ length: 4 }, () => agent.execute("fs_read", { path: "b.txt" }));
      // One swap for each answer: they fall anywhere in the calls that are still under way.
      for (const call of calls) {
        const { status, body } = await call;
        const what = status === 200 ? body.output.text : body.failure;
        seen.set(what, (seen.get(what) ?? 0) + 1);
        linked = !linked;
        swap(linked);
      }
      if (round % 2 === 0) {
        linked = !linked;
        swap(linked);
      }
    }
    const failures = ["symlink_escape", "path_not_found", "path_not_allowed"];
    expect([...seen.keys()].filter((what) => what !== "inside" && !failures.includes(what))).toEqual([]);
    expect(seen.get("inside")).toBeGreaterThan(0);
    expect(seen.get("symlink_escape")).toBeGreaterThan(0);
  }, 60_000);
});
