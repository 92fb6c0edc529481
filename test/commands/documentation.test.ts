import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "../../src/commands/command.ts";
import { COMMANDS } from "../../src/commands/table.ts";

const PAGE = readFileSync(join(import.meta.dir, "../../docs/cli.md"), "utf8");

/** The text under a command's heading. */
function section(name: string): string {
  return PAGE.split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? "";
}

async function leaves(command: Command): Promise<Command[]> {
  const below = Object.values(command.subCommands ?? command.also ?? {});
  const loaded = await Promise.all(below.map((entry) => entry.load()));
  return [...(command.subCommands === null ? [command] : []), ...loaded.map((module) => module.default)];
}

for (const [name, entry] of Object.entries(COMMANDS))
  test(`docs/cli.md tells of ${name} and of each of its flags`, async () => {
    const text = section(name);
    expect(text).toContain("```console\n$ ");
    for (const command of await leaves((await entry.load()).default)) {
      expect(text).toContain(`latchgate ${command.meta.name}`);
      for (const [flag, arg] of Object.entries(command.args))
        if (arg.type !== "positional" && flag !== "json") expect(text).toContain(`--${flag}`);
    }
  });

test("docs/cli.md tells of no flag that no command has", async () => {
  const known = new Set(["help", "version"]);
  for (const entry of Object.values(COMMANDS))
    for (const command of await leaves((await entry.load()).default))
      for (const flag of Object.keys(command.args)) known.add(flag);
  const told = [...PAGE.matchAll(/--([a-z][a-z-]+)/g)].map((match) => match[1] ?? "");
  expect(told.filter((flag) => !known.has(flag))).toEqual([]);
});
