import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, type GateSetup, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { proof, send, WireAgent, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";

let gate: GateProcess | null = null;
afterEach(async () => {
  await gate?.[Symbol.asyncDispose]();
  gate = null;
});

async function start(setup: GateSetup = {}): Promise<GateProcess> {
  gate = await startGate({
    policy: openPolicy(),
    files: { "src/a.txt": "a", "other/src/b.txt": "b" },
    ...setup,
  });
  return gate;
}

const lifetime = (agent: WireAgent): number => {
  const claims = JSON.parse(Buffer.from(agent.lease.split(".")[1] ?? "", "base64url").toString());
  return claims.exp - claims.iat;
};

describe("what the configuration says is in force", () => {
  test("the environment beats the file, the file beats the default", async () => {
    const running = await start({
      config: '[lease]\nttl_s = 100\n[listen]\nclient_mode = "0660"',
      env: { LATCHGATE_LEASE_TTL_S: "200" },
    });
    expect(lifetime(await WireAgent.connect(running.clientSocket))).toBe(200);
    expect(statSync(running.clientSocket).mode & 0o777).toBe(0o660);
    expect(statSync(running.adminSocket).mode & 0o777).toBe(0o600);
  });

  test("sockets are where the environment puts them", async () => {
    const running = await start({ env: { LATCHGATE_LISTEN_CLIENT_SOCKET: "runtime/elsewhere.sock" } });
    expect(running.clientSocket).toBe(join(running.dir, "runtime/elsewhere.sock"));
    expect(existsSync(join(running.dir, "runtime/gate.sock"))).toBe(false);
    expect((await send(running.clientSocket, { method: "GET", path: "/healthz" })).status).toBe(200);
  });

  test("proofs name the public base, or localhost on a socket", async () => {
    const running = await start({
      config: UNHURRIED,
      env: { LATCHGATE_PUBLIC_BASE_URL: "https://gate.example:8443" },
    });
    const agent = await WireAgent.connect(running.clientSocket);
    const path = "/v1/actions/fs_read/execute";
    const ask = async (base: string) =>
      send(running.clientSocket, {
        method: "POST",
        path,
        headers: {
          authorization: `DPoP ${agent.lease}`,
          dpop: await proof(agent.key, agent.lease, "POST", path, { htu: base + path }),
        },
        body: '{"path":"src/a.txt"}',
      });
    for (const base of ["https://gate.example:8443", "HTTPS://Gate.Example:8443", "http://localhost"])
      expect((await ask(base)).status).toBe(200);
    for (const base of ["https://gate.example", "http://gate.example:8443", "https://evil.example:8443"])
      expect((await ask(base)).body.error).toBe("invalid_dpop");
  });

  test("only the actions that are asked for are registered", async () => {
    const running = await start({ config: '[actions]\nonly = ["fs_read"]' });
    const { actions } = (await send(running.clientSocket, { method: "GET", path: "/v1/actions" })).body;
    expect(actions.map(({ action_id }: { action_id: string }) => action_id)).toEqual(["fs_read"]);
    const agent = await WireAgent.connect(running.clientSocket);
    expect((await agent.execute("http_fetch", { url: "https://example.org/" })).body.error).toBe(
      "action_not_found",
    );
  });

  test("file actions work in the folder that is named", async () => {
    const running = await start({ config: '[fs]\nroot = "other"' });
    const agent = await WireAgent.connect(running.clientSocket);
    expect((await agent.execute("fs_read", { path: "src/b.txt" })).body.output.text).toBe("b");
    expect((await agent.execute("fs_read", { path: "src/a.txt" })).body.status).toBe("failed");
  });

  test("one principal has so many calls waiting, and no more", async () => {
    const running = await start({ config: "[approvals]\nmax_pending_per_principal = 2" });
    const agent = await WireAgent.connect(running.clientSocket);
    const ask = () => agent.execute("fs_write", { path: "src/a.txt", content: "x" });
    const held = [await ask(), await ask()];
    expect(held.map(({ status }) => status)).toEqual([202, 202]);
    const third = await ask();
    expect([third.status, third.body.error]).toEqual([429, "too_many_pending"]);
    expect(Number(third.headers["retry-after"])).toBeGreaterThan(0);
    await (await WireOperator.of(running)).deny(held[0]?.body.approval_id);
    expect((await ask()).status).toBe(202);
  });

  test("the most calls of a lease are the least of what was asked for and what the operator allows", async () => {
    const running = await start({
      files: {
        "src/a.txt": "a",
        ".latchgate/latchgate.toml": `[identity.principals.${process.getuid?.()}]\nmax_calls = 2\n`,
      },
    });
    for (const [maxCalls, most] of [
      [undefined, 2],
      [5, 2],
      [1, 1],
    ] as const) {
      const agent = await WireAgent.connect(running.clientSocket, maxCalls === undefined ? {} : { maxCalls });
      let done = 0;
      while ((await agent.execute("fs_read", { path: "src/a.txt" })).status === 200) done++;
      expect(done).toBe(most);
    }
  });
});

test("a value that the environment has wrong keeps the gate from starting, by its key", async () => {
  const running = await start();
  expect(await running.stop()).toBe(0);
  const env = { ...running.env, LATCHGATE_SANDBOX_RUNNERS: "none" };
  const refused = await runBinary(["serve", "--json"], { cwd: running.root, env });
  expect(refused.code).toBe(1);
  const { error } = JSON.parse(refused.stderr.trim());
  expect(error.code).toBe("config_invalid");
  expect(error.message).toContain("sandbox.runners");
  expect(error.hint).toContain("docs/configuration.md");
});
