import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { BINARY, digestOf, type GateProcess, openPolicy, ROOT, startGate } from "../gate-process.ts";
import { buildComponent } from "../sandbox/build-component.ts";
import { startUpstream, type Upstream } from "../upstream.ts";

const PAGE = readFileSync(join(ROOT, "docs/providers.md"), "utf8");

/** The first block of the page in this language that holds a text. */
function block(language: string, holding: string): string {
  const blocks = [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))];
  const found = blocks.map((match) => match[1] ?? "").find((text) => text.includes(holding));
  if (found === undefined) throw new Error(`docs/providers.md has no ${language} block with ${holding}`);
  return found;
}

const commands = (text: string) => [...text.matchAll(/^\$ (.*)$/gm)].map((match) => match[1] ?? "");

let gate: GateProcess;
let board: Upstream;

const LINES = ["one", "two", "three"];
/** A line on each page, as the guide's service has it. */
const pages: RequestListener = (request, response) => {
  const page = Number(new URL(request.url ?? "", "https://board.example.com").searchParams.get("page"));
  const allowed = request.headers.authorization === "Bearer board_0123456789";
  response.statusCode = allowed ? 200 : 401;
  const next = page < LINES.length ? page + 1 : null;
  response.end(JSON.stringify({ lines: [{ text: LINES[page - 1] }], next }));
};

beforeAll(async () => {
  board = await startUpstream(pages);
  gate = await startGate({
    policy: openPolicy(undefined, { actions: ["word_count", "line_count", "board_lines"] }),
    config: board.setup.config.replaceAll("http_fetch", "board_lines"),
    files: { "docs/a.txt": "one two\nthree four five\n", ...board.setup.files },
  });
  await gate.stop();
}, 60_000);
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await board[Symbol.asyncDispose]();
});

/** A command of the page, run as it stands there by a shell that finds the programs that the page asks for. */
async function shell(command: string): Promise<string> {
  const bin = join(gate.root, "../bin");
  mkdirSync(bin, { recursive: true });
  for (const [name, target] of [
    ["latchgate", BINARY],
    ["componentize-qjs", join(ROOT, "node_modules/.bin/componentize-qjs")],
  ] as const)
    try {
      symlinkSync(target, join(bin, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  const child = Bun.spawn(["/bin/sh", "-ec", command], {
    cwd: gate.root,
    env: { ...gate.env, PATH: `${bin}:${process.env.PATH}` },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if (code !== 0) throw new Error(`${command}: ${code} ${stderr}`);
  return stdout;
}

test("the example of the guide goes from an empty file to an executed action", async () => {
  writeFileSync(join(gate.root, "words.ts"), block("ts", "new TextDecoder()"));
  let told = "";
  for (const command of commands(block("console", "provider build words.ts"))) told = await shell(command);
  const digest = /provider: (sha256:[0-9a-f]{64})/.exec(told)?.[1] ?? "";
  expect(digest).toBe(digestOf(readFileSync(join(gate.root, "words.wasm"))));
  const manifest = block("yaml", "id: word_count");
  writeFileSync(join(gate.dir, "actions/word_count.yaml"), manifest.replace("sha256:DIGEST", digest));

  // The same action by the other source of the guide.
  const component = await buildComponent(block("assemblyscript", "export function execute"));
  writeFileSync(join(gate.dir, "providers", `${digestOf(component).slice(7)}.wasm`), component);
  const other = manifest.replace("sha256:DIGEST", digestOf(component)).replace("word_count", "line_count");
  writeFileSync(join(gate.dir, "actions/line_count.yaml"), other);

  gate = await gate.restart();
  const example = block("console", "latchgate execute word_count");
  const [execute = ""] = commands(example);
  expect(await shell(execute)).toBe(`${example.trimEnd().split("\n").at(-1)}\n`);
  expect(JSON.parse(await shell(execute.replace("word_count", "line_count")))).toEqual({
    ok: true,
    path: "docs/a.txt",
    lines: 2,
  });
}, 120_000);

test("the example that computes its own requests makes those, and no other", async () => {
  await gate.stop();
  // The page names a service of the internet; here it is one on loopback, under another name and port.
  const here = (text: string) =>
    text.replaceAll("https://board.example.com/", board.url).replaceAll("board.example.com", "service.test");
  const source = here(block("ts", "io-http@0.1.0"));
  writeFileSync(join(gate.root, "lines.ts"), source);
  let told = "";
  for (const command of commands(block("console", "provider build words.ts")))
    told = await shell(command.replaceAll("words", "lines"));
  const digest = /provider: (sha256:[0-9a-f]{64})/.exec(told)?.[1] ?? "";
  const manifest = here(block("yaml", "id: board_lines")).replace("ports: [443]", `ports: [${board.port}]`);
  writeFileSync(join(gate.dir, "actions/board_lines.yaml"), manifest.replace("sha256:DIGEST", digest));
  await shell("latchgate secrets init && printf board_0123456789 | latchgate secrets set BOARD_TOKEN");

  gate = await gate.restart();
  const example = block("console", "latchgate execute board_lines");
  const [execute = ""] = commands(example);
  expect(await shell(execute)).toBe(`${example.trimEnd().split("\n").at(-1)}\n`);
  expect(board.requests).toEqual([1, 2, 3].map((page) => `GET /v1/boards/team/lines?page=${page}`));
}, 240_000);
