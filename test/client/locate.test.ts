import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locateGate } from "../../src/client/locate.ts";

let dir: string;
let project: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "latchgate-test-"));
  project = join(dir, ".latchgate");
  mkdirSync(join(dir, "deep/down"), { recursive: true });
  mkdirSync(project, { mode: 0o700 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function locate(env: Record<string, string> = {}, flag?: string) {
  return locateGate({ cwd: join(dir, "deep/down"), env, dir: flag });
}

describe("the gate of a project", () => {
  test("listens in its runtime folder unless the configuration says otherwise", async () => {
    expect(await locate()).toEqual({
      client: {
        endpoint: { kind: "unix", path: join(project, "runtime/gate.sock") },
        baseUrl: "http://localhost:3000",
      },
      admin: {
        endpoint: { kind: "unix", path: join(project, "runtime/gate-admin.sock") },
        baseUrl: "http://localhost:3000",
      },
      project: { dir: project, source: "walk" },
      operators: [],
    });
  });

  test("listens where its configuration says, relative to the project folder", async () => {
    writeFileSync(
      join(project, "latchgate.toml"),
      `public_base_url = "https://gate.example/"
       [listen]
       client_socket = "/run/latchgate/gate.sock"
       admin_socket = "admin/a.sock"
       [operators.alice]
       thumbprint = "t"
       [operators.bob]`,
    );
    const found = await locate();
    expect(found.client).toEqual({
      endpoint: { kind: "unix", path: "/run/latchgate/gate.sock" },
      baseUrl: "https://gate.example",
    });
    expect(found.admin?.endpoint).toEqual({ kind: "unix", path: join(project, "admin/a.sock") });
    expect(found.operators).toEqual([
      { id: "alice", thumbprint: "t" },
      { id: "bob", thumbprint: null },
    ]);
  });

  test("listens where the variables that its loader obeys say", async () => {
    const found = await locate({ LATCHGATE_LISTEN_CLIENT_SOCKET: "/a", LATCHGATE_LISTEN_ADMIN_SOCKET: "/b" });
    expect(found.client.endpoint).toEqual({ kind: "unix", path: "/a" });
    expect(found.admin?.endpoint).toEqual({ kind: "unix", path: "/b" });
  });

  test("is not looked for in a configuration that is no toml or a symlink", async () => {
    writeFileSync(join(project, "latchgate.toml"), "[listen");
    await expect(locate()).rejects.toMatchObject({ code: "gate_address" });
    rmSync(join(project, "latchgate.toml"));
    symlinkSync("/etc/hostname", join(project, "latchgate.toml"));
    await expect(locate()).rejects.toMatchObject({ code: "gate_address" });
  });
});

describe("the environment", () => {
  test("names a gate that takes nothing from a project nearby", async () => {
    writeFileSync(
      join(project, "latchgate.toml"),
      '[listen]\nadmin_socket = "/other/admin.sock"\n[operators.eve]',
    );
    expect(await locate({ LATCHGATE_SOCKET: "/run/g/gate.sock" })).toEqual({
      client: { endpoint: { kind: "unix", path: "/run/g/gate.sock" }, baseUrl: "http://localhost:3000" },
      admin: { endpoint: { kind: "unix", path: "/run/g/gate-admin.sock" }, baseUrl: "http://localhost:3000" },
      project: null,
      operators: [],
    });
  });

  test("has the url before the socket, and empty means unset", async () => {
    const both = { LATCHGATE_URL: "unix:///u.sock", LATCHGATE_SOCKET: "/s.sock" };
    expect((await locate(both)).client.endpoint).toEqual({ kind: "unix", path: "/u.sock" });
    expect((await locate({ ...both, LATCHGATE_URL: "" })).client.endpoint).toEqual({
      kind: "unix",
      path: "/s.sock",
    });
    expect((await locate({ LATCHGATE_URL: "", LATCHGATE_SOCKET: "" })).project?.source).toBe("walk");
  });

  test("gives no admin socket beside a port", async () => {
    expect((await locate({ LATCHGATE_URL: "http://localhost:3000" })).admin).toBeNull();
    const named = { LATCHGATE_URL: "http://localhost:3000", LATCHGATE_ADMIN_SOCKET: "/a.sock" };
    expect((await locate(named)).admin?.endpoint).toEqual({ kind: "unix", path: "/a.sock" });
  });

  test("gives way to the flag", async () => {
    const found = await locate({ LATCHGATE_SOCKET: "/s.sock" }, project);
    expect(found.project).toEqual({ dir: project, source: "flag" });
  });

  test("sets the base of proofs, and only to a url", async () => {
    expect((await locate({ LATCHGATE_PUBLIC_BASE_URL: "http://g:1//" })).client.baseUrl).toBe("http://g:1");
    await expect(locate({ LATCHGATE_PUBLIC_BASE_URL: "g" })).rejects.toMatchObject({ code: "gate_address" });
  });

  test("that names no socket on this machine is refused", async () => {
    await expect(locate({ LATCHGATE_URL: "http://gate.example" })).rejects.toMatchObject({
      code: "gate_address",
    });
  });
});

test("without project and environment there is no gate", async () => {
  rmSync(project, { recursive: true });
  await expect(locate()).rejects.toMatchObject({ code: "gate_not_configured" });
});
