import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openPolicy, runBinary, startGate } from "../gate-process.ts";
import { WireAgent } from "../wire-client.ts";

/** Everything that a runtime might take from the current folder, each trying to leave a mark. */
function traps(marker: string): Record<string, string> {
  const mark = `require("node:fs").appendFileSync(${JSON.stringify(marker)}, __filename + "\\n");`;
  const modules = [
    "citty",
    "zod",
    "smol-toml",
    "jose",
    "yaml",
    "ajv",
    "re2js",
    "url-template",
    "bun",
    "bun-types",
  ];
  return {
    "README.md": "# hello\n",
    ".env": `LATCHGATE_DIR=/nonexistent\nLATCHGATE_SOCKET=/nonexistent\nBUN_OPTIONS=--preload=./evil.cjs\nNODE_OPTIONS=--require=./evil.cjs\n`,
    ".env.local": "LATCHGATE_DIR=/nonexistent\n",
    ".env.production": "LATCHGATE_DIR=/nonexistent\n",
    "bunfig.toml":
      'preload = ["./evil.cjs"]\n[run]\npreload = ["./evil.cjs"]\n[test]\npreload = ["./evil.cjs"]\n',
    ".bunfig.toml": 'preload = ["./evil.cjs"]\n',
    "evil.cjs": mark,
    "package.json": JSON.stringify({
      name: "latchgate",
      type: "module",
      imports: { "#*": "./evil.cjs" },
      scripts: { serve: "node evil.cjs", execute: "node evil.cjs", verify: "node evil.cjs" },
      module: "./evil.cjs",
    }),
    "tsconfig.json": JSON.stringify({
      compilerOptions: { paths: { "*": ["./evil.cjs"] }, jsxImportSource: "evil" },
    }),
    "main.ts": mark,
    "src/main.ts": mark,
    "gate/ledger-thread.ts": mark,
    "gate/ledger-thread.js": mark,
    ...Object.fromEntries(modules.map((name) => [`node_modules/${name}/index.js`, mark])),
    ...Object.fromEntries(
      modules.map((name) => [
        `node_modules/${name}/package.json`,
        JSON.stringify({ name, main: "index.js" }),
      ]),
    ),
  };
}

test("nothing in the current folder configures or extends serve, execute or verify", async () => {
  const marker = join("/tmp", `latchgate-n22-${crypto.randomUUID()}`);
  await using gate = await startGate({ policy: openPolicy(), files: traps(marker) });
  expect(gate.banner.project).toBe(gate.dir);
  const executed = await gate.run("execute", "fs_read", "path=README.md", "--json");
  expect({ code: executed.code, stdout: executed.stdout }).toMatchObject({ code: 0 });
  expect(executed.stdout).toContain("# hello");
  const verified = await gate.run("verify", ".latchgate/ledger.db", "--trust", gate.fingerprint);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("intact") });
  expect(await gate.stop()).toBe(0);
  expect(existsSync(marker)).toBe(false);
});

test("what an agent puts into its own environment stays there: the gate and its runners never see it", async () => {
  const marker = join("/tmp", `latchgate-n22-${crypto.randomUUID()}`);
  await using gate = await startGate({ policy: openPolicy(), files: traps(marker) });
  const before = environments(gate.pid);
  const agent = { ...gate.env, BUN_OPTIONS: "--preload=./evil.cjs", BUN_BE_BUN: "1", LD_PRELOAD_TEST: "1" };
  // With its own shell an agent can turn its own client into anything; what it makes of it is not the gate's.
  await runBinary(["execute", "fs_read", "path=README.md"], { cwd: gate.root, env: agent });
  const connected = await WireAgent.connect(gate.clientSocket);
  expect((await connected.execute("fs_read", { path: "README.md" })).status).toBe(200);
  for (const environment of [...before, ...environments(gate.pid)])
    expect(environment.filter((name) => /^(BUN_OPTIONS|BUN_BE_BUN|LD_|NODE_)/.test(name))).toEqual([]);
});

test("runners get an environment of their own, not the gate's", async () => {
  await using gate = await startGate({
    policy: openPolicy(),
    files: { "README.md": "# hello\n" },
    env: { BUN_OPTIONS: "--smol", GATE_ONLY: "not for runners", AWS_SECRET_ACCESS_KEY: "not for runners" },
  });
  const [own, ...runners] = environments(gate.pid);
  expect(own).toContain("GATE_ONLY");
  expect(runners.length).toBeGreaterThanOrEqual(1);
  for (const names of runners)
    for (const leaked of ["GATE_ONLY", "AWS_SECRET_ACCESS_KEY", "BUN_OPTIONS", "HOME"])
      expect(names).not.toContain(leaked);
});

/** Names in the environment of a process and of all below it. */
function environments(pid: number): string[][] {
  const names = readFileSync(`/proc/${pid}/environ`, "utf8")
    .split("\0")
    .filter((pair) => pair !== "")
    .map((pair) => pair.slice(0, pair.indexOf("=")));
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  return [names, ...children.flatMap((child) => environments(Number(child)))];
}
