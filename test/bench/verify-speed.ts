import { Database } from "bun:sqlite";
import { createPublicKey, verify } from "node:crypto";
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../src/core/bytes.ts";
import { fingerprint } from "../../src/keys/jwk.ts";
import { isFault, readPayload } from "../../src/ledger/entry/entry.ts";
import { openJws } from "../../src/ledger/entry/jws.ts";
import { ROOT, runBinary } from "../gate-process.ts";
import { BenchChild } from "./child.ts";

export interface VerifyRow {
  readonly entries: number;
  /** Mean bytes of the payload, and of the compact JWS around it. */
  readonly payloadBytes: number;
  readonly jwsBytes: number;
  readonly entriesPerSecond: number;
  /** `crypto.verify` of the same signatures over the same bytes, one thread, nothing else. */
  readonly bareVerifiesPerSecond: number;
}

/** `latchgate verify` on a ledger of that many entries, beside the bare signature checks that it can't do without. */
export async function measureVerify(folder: string, entries: number): Promise<VerifyRow> {
  const made = await ledgerOf(folder, entries);
  const sample = readSample(join(made, "ledger.db"));
  const bare = measureBare(sample);
  const began = performance.now();
  const run = await runBinary(["verify", join(made, "ledger.db"), "--trust", sample.fingerprint, "--json"], {
    cwd: made,
    env: { PATH: process.env.PATH ?? "", HOME: made },
  });
  const seconds = (performance.now() - began) / 1000;
  if (run.code !== 0) throw new Error(`verify ended with status ${run.code}: ${run.stdout}${run.stderr}`);
  const report = JSON.parse(run.stdout) as { readonly verdict: string; readonly entries: number };
  if (report.verdict !== "intact") throw new Error(`verify says ${report.verdict}`);
  return {
    entries: report.entries,
    payloadBytes: sample.payloadBytes,
    jwsBytes: sample.jwsBytes,
    entriesPerSecond: report.entries / seconds,
    bareVerifiesPerSecond: bare,
  };
}

/** Made once per version of the code that writes it, and kept. */
async function ledgerOf(folder: string, entries: number): Promise<string> {
  const kept = join(folder, `ledger-${entries}-${writerVersion()}`);
  if (existsSync(join(kept, "ledger.db"))) return kept;
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder))
    if (name.startsWith("ledger-")) rmSync(join(folder, name), { recursive: true, force: true });
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
