import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { AgentClient } from "../../src/client/agent.ts";
import { openAgent } from "../../src/client/open.ts";
import type { Clock } from "../../src/core/clock.ts";
import { Bench } from "./bench.ts";
import { executed } from "./fake-gate.ts";

const EXECUTE = "POST /v1/actions/act/execute";
const LEASES = "POST /v1/leases";

let bench: Bench;
beforeEach(async () => {
  bench = await new Bench().start();
  bench.gate.on(EXECUTE, executed(null));
});
afterEach(() => bench.stop());

function open(clock?: Clock): Promise<AgentClient> {
  return openAgent({ cwd: bench.dir, env: bench.env }, clock);
}

function leaseFile(): string {
  const dir = join(bench.state, "leases");
  const name = readdirSync(dir).find((file) => /^[0-9a-f]{32}\.json$/.test(file));
  return join(dir, name ?? "none");
}

describe("the state folder", () => {
  test("is made with 0700, key and lease with 0600", async () => {
    await (await open()).execute("act", {});
    const modes = ["", "agent.pem", "leases"].map((name) => lstatSync(join(bench.state, name)).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600, 0o700]);
    expect(lstatSync(leaseFile()).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(bench.state, "agent.pem"), "utf8")).toStartWith("-----BEGIN PRIVATE KEY-----");
    expect(readdirSync(bench.state).sort()).toEqual(["agent.lock", "agent.pem", "leases"]);
  });

  test("is refused when others can write in it", async () => {
    mkdirSync(bench.state);
    chmodSync(bench.state, 0o777);
    await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "state_unsafe" });
  });

  test("is refused when it is a symlink", async () => {
    mkdirSync(join(bench.dir, "elsewhere"));
    symlinkSync(join(bench.dir, "elsewhere"), bench.state);
    await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "state_unsafe" });
  });

  test("a key that others can read is not used", async () => {
    await (await open()).execute("act", {});
    chmodSync(join(bench.state, "agent.pem"), 0o640);
    await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "key_permissions" });
  });

  test("a key that is a symlink is neither used nor replaced", async () => {
    mkdirSync(bench.state, { mode: 0o700 });
    const target = join(bench.dir, "target.pem");
    symlinkSync(target, join(bench.state, "agent.pem"));
    await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "key_missing" });
    expect(existsSync(target)).toBe(false);
  });

  test("a lease that others could have read is not used", async () => {
    await (await open()).execute("act", {});
    chmodSync(leaseFile(), 0o644);
    await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "state_unsafe" });
  });

  test("a key half written by a process that died is made again", async () => {
    mkdirSync(bench.state, { mode: 0o700 });
    writeFileSync(join(bench.state, "agent.pem.new"), "-----BEGIN PRI");
    await (await open()).execute("act", {});
    expect(readdirSync(bench.state)).not.toContain("agent.pem.new");
  });
});

describe("the lease", () => {
  test("is one for 20 processes that start at once, and so is the key", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => bench.run(["execute", "act"])));
    expect(all.map((ended) => ended.code)).toEqual(Array(20).fill(0));
    expect(bench.gate.calls(LEASES)).toHaveLength(1);
    expect(new Set(bench.gate.calls(EXECUTE).map((call) => call.token)).size).toBe(1);
    expect(bench.gate.calls(EXECUTE)).toHaveLength(20);
  }, 30_000);

  test("is one for calls that run at once in one process", async () => {
    const client = await open();
    await Promise.all(Array.from({ length: 20 }, () => client.execute("act", {})));
    expect(bench.gate.calls(LEASES)).toHaveLength(1);
  });

  test("is asked for with exactly the members of a public key", async () => {
    await (await open()).execute("act", {});
    const body = JSON.parse(bench.gate.calls(LEASES)[0]?.body ?? "");
    expect(Object.keys(body)).toEqual(["scopes", "dpop_jwk"]);
    expect(body.scopes).toEqual(["tools:call"]);
    expect(Object.keys(body.dpop_jwk)).toEqual(["kty", "crv", "x", "y"]);
  });

  for (const code of ["lease_expired", "invalid_lease", "revoked"])
    test(`is renewed once and the call repeated when the gate says ${code}`, async () => {
      await (await open()).execute("act", {});
      bench.gate.refuseLeases(code);
      expect((await (await open()).execute("act", {})).kind).toBe("executed");
      expect(bench.gate.calls(LEASES)).toHaveLength(2);
      expect(bench.gate.calls(EXECUTE)).toHaveLength(3);
    });

  test("is not renewed a second time", async () => {
    bench.gate.on(EXECUTE, { status: 401, body: { error: "lease_expired" } });
    await expect((await open()).execute("act", {})).rejects.toMatchObject({
      code: "lease_expired",
      status: 401,
    });
    expect(bench.gate.calls(EXECUTE)).toHaveLength(2);
  });

  for (const code of ["invalid_dpop", "replay_detected"])
    test(`is not renewed for ${code}`, async () => {
      bench.gate.on(EXECUTE, { status: 401, body: { error: code } });
      await expect((await open()).execute("act", {})).rejects.toMatchObject({ code });
      expect(bench.gate.calls(EXECUTE)).toHaveLength(1);
    });

  test("refused in one process is renewed by one of many", async () => {
    await (await open()).execute("act", {});
    bench.gate.refuseLeases();
    const all = await Promise.all(Array.from({ length: 8 }, () => bench.run(["execute", "act"])));
    expect(all.map((ended) => ended.code)).toEqual(Array(8).fill(0));
    expect(bench.gate.calls(LEASES)).toHaveLength(2);
  }, 30_000);

  test("is renewed 30 seconds before it ends, and not earlier", async () => {
    const start = Date.now();
    await (await open()).execute("act", {});
    bench.gate.on(LEASES, { status: 503, body: { error: "draining" } });
    const leaseAt = async (ms: number) =>
      (await open(at(ms))).cachedSchema("act").then(
        () => "kept",
        (error: { code: string }) => error.code,
      );
    // The gate counts from the full second that it issued in, so up to one second less than 300 are left.
    expect(await leaseAt(start + 268_000)).toBe("kept");
    expect(await leaseAt(start + 270_001)).toBe("draining");
  });

  test("that lives for less than a minute is renewed at half its life", async () => {
    bench.gate.leaseSeconds = 20;
    const client = await open();
    await client.execute("act", {});
    await client.execute("act", {});
    expect(bench.gate.calls(LEASES)).toHaveLength(1);
  });

  test("is had anew when its file is damaged, is of another key or of another gate", async () => {
    await (await open()).execute("act", {});
    const file = leaseFile();
    const good = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    const damaged = [
      "",
      "{",
      "null",
      "[]",
      JSON.stringify({ ...good, jkt: "x" }),
      JSON.stringify({ ...good, gate: "x" }),
    ];
    for (const [i, text] of damaged.entries()) {
      writeFileSync(file, text, { mode: 0o600 });
      await (await open()).execute("act", {});
      expect(bench.gate.calls(LEASES)).toHaveLength(i + 2);
    }
  });

  test("of a lost key is not used with the new key", async () => {
    await (await open()).execute("act", {});
    rmSync(join(bench.state, "agent.pem"));
    await (await open()).execute("act", {});
    expect(bench.gate.calls(LEASES)).toHaveLength(2);
  });

  for (const [why, body] of [
    ["already over", { lease_jwt: "x", session_id: "s", expires_at: "2001-01-01T00:00:00Z" }],
    ["without a token", { session_id: "s", expires_at: "2999-01-01T00:00:00Z" }],
    ["without a time", { lease_jwt: "x", session_id: "s", expires_at: "soon" }],
  ] as const)
    test(`${why} is a malformed answer, and no effect is in doubt`, async () => {
      bench.gate.on(LEASES, { status: 200, body });
      await expect((await open()).execute("act", {})).rejects.toMatchObject({ code: "malformed_answer" });
    });

  test("refused to this account is the gate's own error", async () => {
    bench.gate.on(LEASES, {
      status: 403,
      body: { error: "identity_forbidden", message: "uid 5 is not mapped" },
    });
    await expect((await open()).execute("act", {})).rejects.toMatchObject({
      code: "identity_forbidden",
      status: 403,
    });
  });
});

function at(ms: number): Clock {
  return { now: () => ms, monotonic: () => ms };
}
