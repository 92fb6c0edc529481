/**
 * Applies each mutant to a scratch copy and checks that its test turns red there: a check that no change can fail
 * proves nothing. `--sample N --seed S` takes a seeded part; names as arguments take just those.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Mutant {
  readonly name: string;
  /** The file to change, and the text in it, which must occur exactly once. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** What the change would break. */
  readonly breaks: string;
  /** The test that must turn red: its file, and a part of its name. */
  readonly test: string;
  readonly named: string;
}

const ROOT = join(import.meta.dir, "../..");
const COPIED = [
  "src",
  "test",
  "policies",
  "providers",
  "scripts",
  "package.json",
  "tsconfig.json",
  "bunfig.toml",
  "docs",
  "README.md",
];

function readMutants(): Mutant[] {
  const folder = join(ROOT, "test/mutants");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .flatMap((file) => {
      const group = JSON.parse(readFileSync(join(folder, file), "utf8")) as Omit<Mutant, "name">[];
      return group.map((mutant, i) => ({ ...mutant, name: `${file.replace(/\.json$/, "")}#${i + 1}` }));
    });
}

/** A seeded shuffle (mulberry32), so that a run in CI can be repeated. */
function sample<T>(items: readonly T[], size: number, seed: number): T[] {
  const pool = [...items];
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const taken: T[] = [];
  while (taken.length < size && pool.length > 0)
    taken.push(...pool.splice(Math.floor(random() * pool.length), 1));
  return taken;
}

/** Builds the copy's own binary; false when the mutant does not even compile. */
async function build(copy: string): Promise<boolean> {
  const child = Bun.spawn([process.execPath, "scripts/build.ts"], {
    cwd: copy,
    stdout: "ignore",
    stderr: "ignore",
  });
  return (await child.exited) === 0;
}

async function testPasses(copy: string, mutant: Mutant): Promise<{ passes: boolean; ran: boolean }> {
  const pattern = mutant.named.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", mutant.test, "-t", pattern], {
    cwd: copy,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env: { ...process.env, LATCHGATE_BINARY: join(copy, "dist/latchgate"), FORCE_COLOR: "0" },
  });
  const output = await new Response(child.stderr).text();
  const code = await child.exited;
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);
  return { passes: code === 0, ran: count("pass") + count("fail") > 0 };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: process.argv.slice(2),
    options: { sample: { type: "string" }, seed: { type: "string", default: "1" } },
    allowPositionals: true,
  });
  const all = readMutants();
  const chosen =
    positionals.length > 0
      ? all.filter((mutant) =>
          positionals.some((name) => mutant.name === name || mutant.name.startsWith(`${name}#`)),
        )
      : values.sample === undefined
        ? all
        : sample(all, Number(values.sample), Number(values.seed));
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-mutants-"));
  let failed = 0;
  try {
    const copy = join(scratch, "copy");
    mkdirSync(copy);
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    for (const mutant of chosen) {
      const problem = await tryMutant(copy, mutant);
      if (problem !== null) failed++;
      console.log(
        `${problem === null ? "red" : "NOT RED"}: ${mutant.name} (${mutant.breaks})${problem === null ? "" : `: ${problem}`}`,
      );
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`mutants: ${chosen.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

async function tryMutant(copy: string, mutant: Mutant): Promise<string | null> {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, "utf8");
  if (original.split(mutant.find).length !== 2) return "its text is not in the file exactly once";
  writeFileSync(
    path,
    original.replace(mutant.find, () => mutant.replace),
  );
  try {
    if (!(await build(copy))) return "it does not build";
    const { passes, ran } = await testPasses(copy, mutant);
    if (!ran) return `no test of ${mutant.test} is named ${mutant.named}`;
    return passes ? `${mutant.test} stays green` : null;
  } finally {
    writeFileSync(path, original);
  }
}

process.exit(await main());
