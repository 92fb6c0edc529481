import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createProject } from "../../src/commands/first-start.ts";
import { digestOf, ROOT, runBinary } from "../gate-process.ts";
import { buildComponent } from "../sandbox/build-component.ts";
import { answers } from "../sandbox/guests.ts";

const TOOLCHAIN = join(ROOT, "node_modules/.bin/componentize-qjs");
/** One that leaves a mark and fails, for what must not be run. */
const TRAP = (mark: string) => `#!/bin/sh\necho ran >> ${mark}\nexit 1\n`;

const scratch = mkdtempSync(join(tmpdir(), "provider-cli-"));
const root = join(scratch, "project");
const dir = join(root, ".latchgate");
const mark = join(scratch, "mark");
const env: Record<string, string> = {
  PATH: process.env.PATH ?? "",
  HOME: scratch,
  XDG_STATE_HOME: join(scratch, "state"),
};

/** The command's JSON, from stdout when it went well and from stderr otherwise. */
async function provider(words: readonly string[], more: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runBinary(["provider", ...words, "--json"], {
    cwd: root,
    env: { ...env, ...more },
  });
  const told = (code === 0 ? stdout : stderr).trimEnd().split("\n").at(-1) ?? "";
  // What the commands print, which the tests look into.
  return {
    code,
    answer: JSON.parse(told) as Record<string, unknown> & { error?: { code: string; message: string } },
  };
}

function put(path: string, text: string | Uint8Array, mode = 0o600): string {
  const at = join(root, path);
  mkdirSync(dirname(at), { recursive: true });
  writeFileSync(at, text, { mode });
  return at;
}

beforeAll(() => {
  chmodSync(scratch, 0o700);
  mkdirSync(root, { mode: 0o700 });
  mkdirSync(join(scratch, "state"), { mode: 0o700 });
  createProject(dir, join(scratch, "state/latchgate"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("provider add, list, inspect, remove", () => {
  test("a component is checked, stored under its digest, shown and taken away", async () => {
    const component = await buildComponent(answers('{"ok":true}'));
    const digest = digestOf(component);
    const stored = join(dir, "providers", `${digest.slice(7)}.wasm`);
    put("answers.wasm", component);
    expect(await provider(["add", "answers.wasm"])).toMatchObject({
      code: 0,
      answer: { ok: true, name: "answers", digest, exports: ["execute"], imports: [] },
    });
    expect(readFileSync(stored)).toEqual(Buffer.from(component));
    expect(await provider(["list"])).toMatchObject({ answer: { providers: [{ name: "answers", digest }] } });
    for (const named of ["answers", digest, "./answers.wasm"])
      expect(await provider(["inspect", named])).toMatchObject({
        code: 0,
        answer: { digest, memory: { start_pages: 1 }, bytes: component.byteLength },
      });
    // The same again changes nothing.
    expect((await provider(["add", "answers.wasm"])).code).toBe(0);

    put(".latchgate/actions/uses.yaml", `provider: ${digest}\n`);
    expect(await provider(["remove", "answers"])).toMatchObject({
      code: 1,
      answer: { error: { code: "provider_in_use" } },
    });
    expect(existsSync(stored)).toBe(true);
    rmSync(join(dir, "actions/uses.yaml"));
    expect(await provider(["remove", "answers"])).toMatchObject({ code: 0, answer: { digest } });
    expect(existsSync(stored)).toBe(false);
    expect(await provider(["remove", "answers"])).toMatchObject({
      answer: { error: { code: "provider_not_found" } },
    });
  });

  test("a name stays with its component", async () => {
    put("one.wasm", await buildComponent(answers('{"ok":true,"n":1}')));
    put("two.wasm", await buildComponent(answers('{"ok":true,"n":2}')));
    expect((await provider(["add", "one.wasm", "--name", "both"])).code).toBe(0);
    expect(await provider(["add", "two.wasm", "--name", "both"])).toMatchObject({
      code: 1,
      answer: { error: { code: "provider_exists" } },
    });
    expect(await provider(["add", "two.wasm", "--name", "../../x"])).toMatchObject({
      answer: { error: { code: "provider_invalid" } },
    });
    expect((await provider(["remove", "both"])).code).toBe(0);
  });

  test("what the gate would refuse is not stored", async () => {
    put("text.wasm", "not a component");
    expect(await provider(["add", "text.wasm"])).toMatchObject({
      answer: { error: { code: "component_malformed" } },
    });
    // A structure that our reader takes and the validator does not: one byte of its core code is another.
    const component = Uint8Array.from(await buildComponent(answers('{"ok":true}')));
    const at = Buffer.from(component).indexOf(Buffer.from([0x0b, 0x0b]));
    component[at] = 0x1a;
    put("broken.wasm", component);
    const { answer } = await provider(["add", "broken.wasm"]);
    expect(["component_invalid", "component_malformed"]).toContain(answer.error?.code ?? "");
    expect(await provider(["list"])).toMatchObject({ answer: { providers: [] } });
  });

  test("a stored component that was changed is told, and so is a lock file that is not one", async () => {
    const component = await buildComponent(answers('{"ok":true,"n":3}'));
    put("kept.wasm", component);
    expect((await provider(["add", "kept.wasm"])).code).toBe(0);
    writeFileSync(join(dir, "providers", `${digestOf(component).slice(7)}.wasm`), "x");
    expect(await provider(["inspect", "kept"])).toMatchObject({
      answer: { error: { code: "provider_invalid" } },
    });
    const lock = join(dir, "providers/providers.lock.json");
    writeFileSync(
      lock,
      '{"version":1,"providers":[{"name":"../x","digest":"sha256:00","bytes":1,"imports":[]}]}',
    );
    expect(await provider(["list"])).toMatchObject({ answer: { error: { code: "provider_invalid" } } });
    rmSync(lock);
  });
});

describe("provider build", () => {
  test("without a tool chain it says what to install, and runs nothing of the current folder", async () => {
    put("plain.ts", "export const execute = (task: string) => task;");
    for (const folder of ["node_modules/.bin", "bin", "."])
      for (const name of ["componentize-qjs", "jco", "node"]) put(`${folder}/${name}`, TRAP(mark), 0o755);
    const { code, answer } = await provider(["build", "plain.ts"], {
      PATH: ".:bin:node_modules/.bin:/nonexistent",
    });
    expect({ code, error: answer.error?.code }).toEqual({ code: 1, error: "toolchain_missing" });
    expect(existsSync(mark)).toBe(false);
    const named = await provider(["build", "plain.ts", "--toolchain", "plain.ts"]);
    expect(named.answer.error?.code).toBe("toolchain_missing");
  });

  test("macros and preloads of the source's folder do not run", async () => {
    const evil = `require("node:fs").appendFileSync(${JSON.stringify(mark)}, "evil");`;
    put("evil/bunfig.toml", 'preload = ["./evil.cjs"]\n[bundle]\npreload = ["./evil.cjs"]\n');
    put("evil/.env", "BUN_OPTIONS=--preload=./evil.cjs\n");
    put("evil/evil.cjs", evil);
    put(
      "evil/macro.ts",
      `import { appendFileSync } from "node:fs"; export const go = () => { appendFileSync(${JSON.stringify(mark)}, "macro"); return 1; };`,
    );
    const source = put(
      "evil/provider.ts",
      'import { go } from "./macro.ts" with { type: "macro" };\nexport const execute = () => String(go());',
    );
    const { answer } = await provider(["build", source, "--toolchain", TOOLCHAIN]);
    expect(answer.error).toMatchObject({
      code: "provider_build_failed",
      message: expect.stringContaining("Macros are disabled"),
    });
    expect(existsSync(mark)).toBe(false);
  });

  test("a source that does not parse, or wants something of the process, is refused", async () => {
    put("broken.ts", "export const execute = (");
    expect((await provider(["build", "broken.ts", "--toolchain", TOOLCHAIN])).answer.error?.code).toBe(
      "provider_build_failed",
    );
    put(
      "files.ts",
      'import { readFileSync } from "node:fs"; export const execute = () => readFileSync("/etc/passwd", "utf8");',
    );
    expect((await provider(["build", "files.ts", "--toolchain", TOOLCHAIN])).answer.error).toMatchObject({
      code: "provider_build_failed",
      message: expect.stringContaining('imports "fs"'),
    });
    expect(existsSync(join(root, "files.wasm"))).toBe(false);
  });
});

test("provider types prints declarations that the compiler takes, and that find mistakes", async () => {
  const { stdout } = await runBinary(["provider", "types"], { cwd: root, env });
  put("types/latchgate.d.ts", stdout);
  put(
    "types/good.ts",
    `
    import { request } from "latchgate:provider/io-http@0.1.0";
    import { read, delete as remove } from "latchgate:provider/io-fs@0.1.0";
    import { logWarn } from "latchgate:provider/io-log@0.1.0";
    export const execute: Execute = (task) => {
      logWarn(task);
      const { content, sizeBytes } = read({ path: "a" });
      const size: bigint = sizeBytes;
      const gone: boolean = remove({ path: "a" }).ok;
      const { status } = request({ method: "POST", url: "https://a.test/", headers: [["a", "b"]], body: content, timeoutMs: 0 });
      return JSON.stringify({ status, gone, size: String(size) });
    };`,
  );
  put(
    "types/bad.ts",
    `
    import { request } from "latchgate:provider/io-http@0.1.0";
    export const execute: Execute = () => request({ method: "GET" });`,
  );
  const check = (file: string) =>
    Bun.spawnSync(
      [
        join(ROOT, "node_modules/.bin/tsc"),
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--lib",
        "es2022",
        "--types",
        "",
        "latchgate.d.ts",
        file,
      ],
      {
        cwd: join(root, "types"),
      },
    );
  const good = check("good.ts");
  expect(good.stdout.toString()).toBe("");
  expect(good.exitCode).toBe(0);
  expect(check("bad.ts").exitCode).not.toBe(0);
});
