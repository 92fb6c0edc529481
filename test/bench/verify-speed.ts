import { Database } from "bun:sqlite";
import { createPublicKey, verify } from "node:crypto";
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { sha256Hex } from "../../src/core/bytes.ts";
import { fingerprint } from "../../src/keys/jwk.ts";
import { isFault, readPayload } from "../../src/ledger/entry/entry.ts";
import { openJws } from "../../src/ledger/entry/jws.ts";
import { BINARY, ROOT } from "../gate-process.ts";
import { BenchChild } from "./child.ts";
import { WRITING_COST, type WritingCost } from "./made-ledger.ts";

/** `latchgate verify` of a whole ledger, beside the bare signature checks that it can't do without. */
export interface VerifyRow {
  readonly entries: number;
  readonly threads: number;
  readonly entriesPerSecond: number;
  /** `crypto.verify` of the same signatures over the same bytes and nothing else, in as many processes at once. */
  readonly bareVerifiesPerSecond: number;
  /** Largest resident set of the process, bytes. */
  readonly peakMemory: number;
}

/** `latchgate verify --since` a checkpoint of the same ledger. */
export interface SinceRow {
  readonly entries: number;
  /** Entries after the checkpoint. */
  readonly fresh: number;
  readonly seconds: number;
}

export interface VerifySpeed {
  /** Mean bytes of the payload, and of the compact JWS around it. */
  readonly payloadBytes: number;
  readonly jwsBytes: number;
  readonly rows: readonly VerifyRow[];
  readonly since: SinceRow;
  readonly writing: WritingCost;
}

/** On ledgers of those many entries; with one thread and with all, then what is new in the largest. */
export async function measureVerify(folder: string, sizes: readonly number[]): Promise<VerifySpeed> {
  const rows: VerifyRow[] = [];
  let last: Omit<VerifySpeed, "rows"> | null = null;
  for (const entries of sizes) {
    const made = await ledgerOf(folder, entries);
    const ledger = join(made, "ledger.db");
    const sample = readSample(ledger);
    for (const threads of new Set([1, availableParallelism()])) {
      const bare = await measureBareAtOnce(ledger, threads);
      const run = await runVerify(ledger, sample.fingerprint, ["--threads", String(threads)]);
      rows.push({
        entries: run.entries,
        threads,
        entriesPerSecond: run.entries / run.seconds,
        bareVerifiesPerSecond: bare,
        peakMemory: run.peakMemory,
      });
    }
    last = {
      payloadBytes: sample.payloadBytes,
      jwsBytes: sample.jwsBytes,
      since: await measureSince(ledger, sample.fingerprint),
      writing: JSON.parse(readFileSync(join(made, WRITING_COST), "utf8")) as WritingCost, // the maker's own
    };
  }
  if (last === null) throw new RangeError("no ledger to measure on");
  return { ...last, rows };
}

interface VerifyRun {
  readonly seconds: number;
  readonly entries: number;
  readonly peakMemory: number;
}

async function runVerify(ledger: string, trust: string, flags: readonly string[]): Promise<VerifyRun> {
  const began = performance.now();
  const child = Bun.spawn([BINARY, "verify", ledger, "--trust", trust, "--json", ...flags], {
    env: { PATH: process.env.PATH ?? "" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const seconds = (performance.now() - began) / 1000;
  if (code !== 0) throw new Error(`verify ended with status ${code}: ${stdout}${stderr}`);
  const report = JSON.parse(stdout) as { readonly verdict: string; readonly entries: number };
  if (report.verdict !== "intact") throw new Error(`verify says ${report.verdict}`);
  return { seconds, entries: report.entries, peakMemory: child.resourceUsage()?.maxRSS ?? Number.NaN };
}

/** How far back the checkpoint is, at least. */
const BACK = 1000;

async function measureSince(ledger: string, trust: string): Promise<SinceRow> {
  const db = new Database(ledger, { readonly: true });
  const checkpoint = db
    .query<{ size: number; root: Uint8Array }, [number]>(
      `SELECT size, root FROM checkpoints WHERE size <= (SELECT max(seq) + 1 FROM entries) - ?
       ORDER BY size DESC LIMIT 1`,
    )
    .get(BACK);
  db.close();
  if (checkpoint === null) throw new Error("the made ledger has no checkpoint that far back");
  const anchor = `${checkpoint.size} ${Buffer.from(checkpoint.root).toString("hex")}`;
  const { entries, seconds } = await runVerify(ledger, trust, ["--since", anchor]);
  return { entries, fresh: entries - checkpoint.size, seconds };
}

/** Made once per version of the code that writes it, and kept. */
async function ledgerOf(folder: string, entries: number): Promise<string> {
  const kept = join(folder, `ledger-${entries}-${writerVersion()}`);
  if (existsSync(join(kept, "ledger.db"))) return kept;
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder))
    if (name.startsWith(`ledger-${entries}-`) || name === "ledger-new")
      rmSync(join(folder, name), { recursive: true, force: true });
  const fresh = join(folder, "ledger-new");
  mkdirSync(fresh, { mode: 0o700 });
  await using maker = new BenchChild("made-ledger.ts", fresh, String(entries));
  await maker.line();
  renameSync(fresh, kept);
  return kept;
}

function writerVersion(): string {
  const sources = [
    "src/ledger/**/*.ts",
    "src/gate/acts/*.ts",
    "src/budgets/*.ts",
    "test/bench/made-ledger.ts",
  ]
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
    .filter((path) => !path.startsWith("src/ledger/verify/"))
    .sort();
  return sha256Hex(...sources.map((path) => readFileSync(join(ROOT, path)))).slice(0, 16);
}

interface Sample {
  readonly fingerprint: string;
  readonly key: ReturnType<typeof createPublicKey>;
  readonly signed: readonly { readonly input: Buffer; readonly signature: Buffer }[];
  readonly payloadBytes: number;
  readonly jwsBytes: number;
}

const SAMPLED = 2000;

function readSample(path: string): Sample {
  const db = new Database(path, { readonly: true });
  const rows = db
    .query<{ jws: string }, [number]>("SELECT jws FROM entries ORDER BY seq LIMIT ?")
    .all(SAMPLED);
  db.close();
  const opened = rows.map(({ jws }) => {
    const entry = openJws(jws);
    if (entry === null) throw new Error("an entry of the made ledger is not one");
    return entry;
  });
  const first = opened[0] === undefined ? null : readPayload(opened[0].payload);
  if (first === null || isFault(first) || first.type !== "log.opened")
    throw new Error("the made ledger has no opening");
  const mean = (sizes: readonly number[]) =>
    Math.round(sizes.reduce((sum, size) => sum + size, 0) / sizes.length);
  return {
    fingerprint: fingerprint(opened[0]?.kid ?? ""),
    key: createPublicKey({ key: { ...first.keys.evidence }, format: "jwk" }),
    signed: opened.map(({ input, signature }) => ({ input: Buffer.from(input), signature })),
    payloadBytes: mean(opened.map(({ payload }) => Buffer.byteLength(payload))),
    jwsBytes: mean(rows.map(({ jws }) => jws.length)),
  };
}

const BARE_MS = 2000;

function measureBare({ key, signed }: Sample): number {
  const began = performance.now();
  let checked = 0;
  while (performance.now() - began < BARE_MS)
    for (const { input, signature } of signed) {
      if (!verify(null, input, key, signature))
        throw new Error("a signature of the made ledger is not valid");
      checked++;
    }
  return (checked * 1000) / (performance.now() - began);
}

async function measureBareAtOnce(ledger: string, processes: number): Promise<number> {
  const children = Array.from({ length: processes }, () => new BenchChild("verify-speed.ts", ledger));
  try {
    const rates = await Promise.all(children.map((child) => child.line()));
    return rates.reduce((sum, rate) => sum + Number(rate), 0);
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
}

if (import.meta.main) console.log(measureBare(readSample(process.argv[2] ?? "")));
