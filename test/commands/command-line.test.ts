import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readArgv } from "../../src/commands/argv.ts";
import { defineCommand } from "../../src/commands/command.ts";
import { exitCodeFor, UsageError } from "../../src/commands/exit-code.ts";
import { COMMANDS } from "../../src/commands/table.ts";
import { VERSION } from "../../src/core/version.ts";
import { Bench, errorOf } from "../client/bench.ts";

const command = defineCommand({
  meta: { name: "try", description: "for the test" },
  args: {
    id: { type: "positional", description: "first" },
    note: { type: "positional", description: "second", required: false },
    reason: { type: "string", alias: "r", description: "a text" },
    wait: { type: "string", description: "perhaps a number", optionalValue: true },
    yes: { type: "boolean", alias: "y", description: "a switch" },
  },
  run: () => 0,
});
const open = defineCommand({ meta: { name: "open", description: "takes more" }, rest: "more", run: () => 0 });
const read = (...words: string[]) => readArgv(command, words).args;

describe("words become flags and positionals", () => {
  test("in every form", () => {
    expect(read("a", "--reason", "x", "-y")).toMatchObject({ id: "a", reason: "x", yes: true, json: false });
    expect(read("--reason=x=y", "a", "b")).toMatchObject({ id: "a", note: "b", reason: "x=y", yes: false });
    expect(read("a", "-r", "-")).toMatchObject({ reason: "-" });
    expect(read("a", "--reason=--yes")).toMatchObject({ reason: "--yes", yes: false });
    expect(read("--", "--yes")).toMatchObject({ id: "--yes", yes: false });
    expect(read("a", "--wait")).toMatchObject({ wait: "" });
    expect(read("--wait", "a")).toMatchObject({ wait: "", id: "a" });
    expect(read("a", "--wait=5")).toMatchObject({ wait: "5" });
    expect(read("a", "--reason=")).toMatchObject({ reason: "" });
  });

  const refused: [string[], string, string | undefined][] = [
    [["a", "--yse"], 'unknown flag "--yse"', "did you mean --yes?"],
    [["a", "--unheard"], 'unknown flag "--unheard"', "see latchgate try --help"],
    [["a", "-x"], 'unknown flag "-x"', undefined],
    [["a", "-yr"], 'unknown flag "-yr"', undefined],
    [["a", "--no-yes"], 'unknown flag "--no-yes"', undefined],
    [["a", "--id", "b"], 'unknown flag "--id"', undefined],
    [["a", "--yes=false"], "--yes takes no value", undefined],
    [["a", "--yes", "-y"], "-y is given twice", undefined],
    [["a", "--reason"], "--reason needs a value", "write it as --reason=VALUE"],
    [["a", "--reason", "--yes"], "--reason needs a value", undefined],
    [["a", "--__proto__=x"], 'unknown flag "--__proto__"', undefined],
    [["a", "b", "c"], 'unexpected argument "c"', undefined],
    [[], "ID is missing", "see latchgate try --help"],
  ];
  for (const [words, message, hint] of refused)
    test(`not: ${words.join(" ") || "nothing"}`, () => {
      const wanted = { code: "usage", message, ...(hint === undefined ? {} : { hint }) };
      expect(() => read(...words)).toThrow(expect.objectContaining(wanted));
    });

  test("and whatever is typed is either read or a usage error", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom("--yes", "--reason", "-r", "--", "--wait=1"))),
        (words) => {
          try {
            readArgv(command, words);
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
          }
        },
      ),
      { seed: 1 },
    );
  });

  test("after -- all are positionals, as they are", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        expect(readArgv(open, ["--", ...words]).rest).toEqual(words);
      }),
      { seed: 1 },
    );
  });
});

test("what nobody expected exits with 1", () => expect(exitCodeFor(new TypeError("surprise"))).toBe(1));

describe("the program", () => {
  const bench = new Bench();
  afterAll(() => bench.stop());

  test("knows its commands, its version and what was perhaps meant", async () => {
    const overview = await bench.run(["--help"]);
    expect(overview.code).toBe(0);
    for (const name of Object.keys(COMMANDS)) expect(overview.stdout).toContain(`\n  ${name} `);
    expect(await bench.run(["--version"])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: "" });
    expect((await bench.run([])).code).toBe(2);
    const typo = await bench.run(["exceute", "--json"]);
    expect(typo.code).toBe(2);
    expect(errorOf(typo)).toMatchObject({ code: "usage", hint: "did you mean latchgate execute?" });
    const group = await bench.run(["approvals", "aprove", "--json"]);
    expect([group.code, errorOf(group).hint]).toEqual([2, "did you mean latchgate approvals approve?"]);
    expect((await bench.run(["approvals"])).code).toBe(2);
    expect((await bench.run(["constructor"])).code).toBe(2);
  });

  test("explains each command without running it, and without escapes when piped", async () => {
    for (const words of [["execute"], ["audit"], ["approvals"], ["approvals", "approve"], ["revoke"]]) {
      const ended = await bench.run([...words, "--help"]);
      expect(ended.code).toBe(0);
      expect(ended.stdout).toContain(`latchgate ${words.join(" ")}`);
      expect(ended.stdout).not.toContain("\u001b");
    }
  });

  test("uses colour on a terminal, and none with NO_COLOR", async () => {
    expect((await bench.runOnTerminal(["nonsense"])).screen).toContain("\u001b[31merror:");
    expect((await bench.runOnTerminal(["nonsense"], [], { NO_COLOR: "1" })).screen).not.toContain("\u001b");
  });

  test("loads no other command, no server and no help for the one that runs", async () => {
    const trace = `${import.meta.dir}/loaded.ts`;
    const child = Bun.spawn([process.execPath, trace, "version"], {
      env: bench.env,
      stdout: "pipe",
      stderr: "pipe",
    });
    const loaded = JSON.parse((await new Response(child.stderr).text()).trim()) as string[];
    expect(loaded).toContain("src/commands/version.ts");
    const foreign = loaded.filter((path) => !/^src\/(main|core\/[a-z-]+|commands\/[a-z-]+)\.ts$/.test(path));
    expect(foreign).toEqual([]);
    expect(loaded).not.toContain("src/commands/execute.ts");
  });

  for (const shell of ["bash", "zsh", "fish"])
    test(`completes for ${shell}`, async () => {
      const { code, stdout } = await bench.run(["completions", shell]);
      expect(code).toBe(0);
      for (const name of Object.keys(COMMANDS)) expect(stdout).toContain(name);
      const path = Bun.which(shell);
      if (path === null) return;
      const check = Bun.spawnSync([path, "-n"], { stdin: Buffer.from(stdout), stderr: "pipe" });
      expect(check.stderr.toString()).toBe("");
    });
});
