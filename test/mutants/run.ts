/**
 * Applies each mutant to a scratch copy and checks that its test, green without it, turns red there: a check that no
 * change can fail proves nothing, and neither does one that fails anyway. `--sample N --seed S` takes a seeded part;
 * names as arguments take just those. A mutant whose test is skipped for want of a tool is skipped with it.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
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

const BUILT = "dist/latchgate";
/** The binary of the copy as it was, for the run before any change. */
const UNCHANGED = "dist/latchgate-unchanged";

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

type Named = Pick<Mutant, "test" | "named">;

/** Whether the named tests are green, red, all skipped on this machine, or not there. */
async function runTests(
  copy: string,
  binary: string,
  { test, named }: Named,
): Promise<"green" | "red" | "skipped" | "none"> {
  const pattern = named.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", test, "-t", pattern], {
    cwd: copy,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env: { ...process.env, LATCHGATE_BINARY: join(copy, binary), FORCE_COLOR: "0" },
  });
  const output = await new Response(child.stderr).text();
  const code = await child.exited;
  const count = (word: string) => Number(new RegExp(`^\\s*(\\d+) ${word}$`, "m").exec(output)?.[1] ?? 0);
  if (count("pass") + count("fail") === 0) return count("skip") > 0 ? "skipped" : "none";
  return code === 0 ? "green" : "red";
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
  const tally: Record<Verdict["outcome"], number> = { red: 0, skipped: 0, "NOT RED": 0 };
  try {
    const copy = join(scratch, "copy");
    mkdirSync(copy);
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    if (!(await build(copy))) throw new Error("what is to be changed does not build");
    renameSync(join(copy, BUILT), join(copy, UNCHANGED));
    const before = new Map<string, Verdict | null>();
    for (const mutant of chosen) {
      const test = JSON.stringify([mutant.test, mutant.named]);
      if (!before.has(test)) before.set(test, await judgeUnchanged(copy, mutant));
      const { outcome, why } = before.get(test) ?? (await tryMutant(copy, mutant));
      tally[outcome]++;
      console.log(`${outcome}: ${mutant.name} (${mutant.breaks})${why === "" ? "" : `: ${why}`}`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`mutants: ${tally.red} passed, ${tally.skipped} skipped, ${tally["NOT RED"]} failed`);
  return tally["NOT RED"] === 0 ? 0 : 1;
}

interface Verdict {
  readonly outcome: "red" | "skipped" | "NOT RED";
  readonly why: string;
}

const survived = (why: string): Verdict => ({ outcome: "NOT RED", why });

/** What keeps a test from proving anything: it is not there, is skipped, or fails without any change. */
async function judgeUnchanged(copy: string, { test, named }: Named): Promise<Verdict | null> {
  switch (await runTests(copy, UNCHANGED, { test, named })) {
    case "green":
      return null;
    case "red":
      return survived(`${test} is red without it`);
    case "skipped":
      return { outcome: "skipped", why: `${test} is skipped here` };
    case "none":
      return survived(`no test of ${test} is named ${named}`);
  }
}

async function tryMutant(copy: string, mutant: Mutant): Promise<Verdict> {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, "utf8");
  if (original.split(mutant.find).length !== 2) return survived("its text is not in the file exactly once");
  writeFileSync(
    path,
    original.replace(mutant.find, () => mutant.replace),
  );
  try {
    if (!(await build(copy))) return survived("it does not build");
    const green = (await runTests(copy, BUILT, mutant)) === "green";
    return green ? survived(`${mutant.test} stays green`) : { outcome: "red", why: "" };
  } finally {
    writeFileSync(path, original);
  }
}

process.exit(await main());
