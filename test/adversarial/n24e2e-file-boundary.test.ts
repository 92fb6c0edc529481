import { afterEach, describe, expect, test } from "bun:test";
import {
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { UNHURRIED } from "../e2e/upstream-server.ts";
import { type GateProcess, type GateSetup, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, type WireBody, WireOperator } from "../wire-client.ts";

let gate: GateProcess | null = null;
afterEach(async () => {
  await gate?.[Symbol.asyncDispose]();
  gate = null;
});

interface Scene {
  readonly gate: GateProcess;
  readonly agent: WireAgent;
  readonly operator: WireOperator;
  readonly at: (path: string) => string;
}

async function start(setup: GateSetup = {}): Promise<Scene> {
  const started = await startGate({
    policy: openPolicy(),
    config: UNHURRIED,
    files: { "src/a.txt": "before", "src/deep/b.txt": "inside", "outside/secret.txt": "secret" },
    ...setup,
  });
  gate = started;
  return {
    gate: started,
    agent: await WireAgent.connect(started.clientSocket),
    operator: await WireOperator.of(started),
    at: (path) => join(started.root, path),
  };
}

/** Holds a call, lets something happen to the file meanwhile, approves; the answer with its receipt. */
async function approved(
  { agent, operator }: Scene,
  action: string,
  params: unknown,
  meanwhile: () => unknown = () => undefined,
): Promise<{ body: WireBody; receipt: WireBody }> {
  const held = await agent.execute(action, params);
  expect(held.status).toBe(202);
  await meanwhile();
  const { body } = await operator.approve(held.body.approval_id);
  const receipt = await agent.receipt(body.receipt_id);
  expect(receipt.body).toMatchObject({ signature_status: "valid", status: body.status });
  return { body, receipt: receipt.body };
}

function expectFailed(
  { body, receipt }: { body: WireBody; receipt: WireBody },
  failure: string | RegExp,
): void {
  expect(body).toMatchObject({
    error: "action_execution_failed",
    status: "failed",
    dispatched: "no",
    confirmed: false,
  });
  expect(body.failure).toMatch(failure);
  expect(receipt).toMatchObject({ status: "failed", provider_receipt: null });
  expect(receipt.effect_evidence.every((effect: WireBody) => effect.reached === "none")).toBe(true);
}

describe("N24: an overwrite that fails half-way leaves the old file", () => {
  test.skipIf(Bun.which("prlimit") === null)("when no file may grow as long as what is written", async () => {
    const first = await start();
    const before = "b".repeat(100);
    writeFileSync(first.at("src/a.txt"), before);
    const held = await first.agent.execute("fs_write", { path: "src/a.txt", content: "x".repeat(700_000) });
    expect(held.status).toBe(202);
    // The held call is stored by then; its file is not written to again, and the log needs far less than the limit.
    expect(await first.gate.stop()).toBe(0);
    gate = await first.gate.restart({ wrapper: ["prlimit", "--fsize=600000"] });
    const scene = { ...first, gate, operator: await WireOperator.of(gate) };
    const { body } = await scene.operator.approve(held.body.approval_id);
    const receipt = await scene.agent.receipt(body.receipt_id);
    expectFailed({ body, receipt: receipt.body }, "io_error");
    expect(readFileSync(scene.at("src/a.txt"), "utf8")).toBe(before);
    expect(readdirSync(scene.at("src")).sort()).toEqual(["a.txt", "deep"]);
    // The gate goes on, and what fits is written.
    const small = await approved(scene, "fs_write", { path: "src/a.txt", content: "fits" });
    expect(small.body.status).toBe("executed");
    expect(readFileSync(scene.at("src/a.txt"), "utf8")).toBe("fits");
  });

  test("when the old content is not the expected one any more", async () => {
    const scene = await start();
    const hash = `sha256:${new Bun.CryptoHasher("sha256").update("before").digest("hex")}`;
    const params = { path: "src/a.txt", content: "after", expected_before_hash: hash };
    const result = await approved(scene, "fs_write", params, () =>
      writeFileSync(scene.at("src/a.txt"), "changed"),
    );
    expectFailed(result, "conflict");
    expect(readFileSync(scene.at("src/a.txt"), "utf8")).toBe("changed");
  });
});

describe("N24: what is not a plain file of its own is refused, with a receipt that says failed", () => {
  const KINDS: readonly (readonly [kind: string, make: (scene: Scene) => unknown])[] = [
    ["a FIFO", ({ at }) => expect(Bun.spawnSync(["mkfifo", at("src/a.txt")]).exitCode).toBe(0)],
    ["a symbolic link to a file outside", ({ at }) => symlinkSync(at("outside/secret.txt"), at("src/a.txt"))],
    ["a symbolic link to a file beside it", ({ at }) => symlinkSync("deep/b.txt", at("src/a.txt"))],
    ["a hard link", ({ at }) => linkSync(at("outside/secret.txt"), at("src/a.txt"))],
    [
      "a socket",
      ({ at }) =>
        new Promise<void>((listening) => {
          const server = createServer().listen(at("src/a.txt"), () => {
            server.unref();
            listening();
          });
        }),
    ],
  ];

  test.each(KINDS)("%s, put in the place of the file after it was held", async (_kind, make) => {
    const scene = await start();
    const swap = async () => {
      unlinkSync(scene.at("src/a.txt"));
      await make(scene);
    };
    const result = await approved(scene, "fs_write", { path: "src/a.txt", content: "pwned" }, swap);
    expectFailed(result, /^(?:special_file|symlink_escape|path_not_allowed|traversal)$/);
    expect(readFileSync(scene.at("outside/secret.txt"), "utf8")).toBe("secret");
    expect(readFileSync(scene.at("src/deep/b.txt"), "utf8")).toBe("inside");
    // Neither is it read, nor deleted.
    const read = await scene.agent.execute("fs_read", { path: "src/a.txt" });
    expect([read.status, read.body.status]).toEqual([502, "failed"]);
    expect(read.text).not.toContain("secret");
    const inode = lstatSync(scene.at("src/a.txt")).ino;
    const gone = await approved(scene, "fs_delete", { path: "src/a.txt" });
    expect(gone.body.status).toBe("failed");
    expect(lstatSync(scene.at("src/a.txt")).ino).toBe(inode);
  });

  test("a folder on the way that became a link", async () => {
    const scene = await start();
    const swap = () => {
      unlinkSync(scene.at("src/deep/b.txt"));
      expect(Bun.spawnSync(["rmdir", scene.at("src/deep")]).exitCode).toBe(0);
      symlinkSync(scene.at("outside"), scene.at("src/deep"));
    };
    const result = await approved(scene, "fs_write", { path: "src/deep/secret.txt", content: "pwned" }, swap);
    expectFailed(result, /./);
    expect(readFileSync(scene.at("outside/secret.txt"), "utf8")).toBe("secret");
    expect(readlinkSync(scene.at("src/deep"))).toBe(scene.at("outside"));
  });

  test.each([
    "/etc/passwd",
    "../outside/x",
    "src/../../x",
    "src//a.txt",
    "src/./a.txt",
    "src/a.txt\u0000.md",
    "src\\a.txt",
    "..",
  ])("a path that is not one below the root is refused before anybody is asked: %j", async (path) => {
    const scene = await start();
    const refused = await scene.agent.execute("fs_write", { path, content: "x" });
    expect([403, 422]).toContain(refused.status);
    expect((await scene.operator.call("GET", "/v1/approvals")).body.count).toBe(0);
  });
});
