/** That one checkpoint extends another: proven from a ledger, verified with no ledger at hand. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBase64url } from "../../src/core/bytes.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import {
  type Checkpoint,
  checkpointOrigin,
  parseCheckpoint,
  signCheckpoint,
} from "../../src/ledger/checkpoint.ts";
import { formatConsistency, readConsistency } from "../../src/ledger/proof/consistency-file.ts";
import { runBinary } from "../gate-process.ts";
import { readCheckpoints, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
/** Notes by their sizes. */
const notes = new Map<number, string>();
let sizes: readonly number[];
beforeAll(async () => {
  log = scratchLog();
  for (let i = 0; i < 5; i++) {
    await log.writer.run(Array.from({ length: 1 + 2 * i }, () => task("stop")));
    log.writer.checkpoint();
  }
  log.writer.close();
  for (const { size, note } of readCheckpoints(log.ledger)) notes.set(size, note);
  sizes = [...notes.keys()].sort((a, b) => a - b);
});
afterAll(() => log.remove());

const note = (size: number): string => notes.get(size) ?? "";
const written = (name: string, text: string): string => {
  const path = join(log.dir, name);
  writeFileSync(path, text);
  return path;
};
const run = async (...words: readonly string[]) => {
  const { code, stdout, stderr } = await runBinary([...words, "--json"], {
    cwd: log.dir,
    env: { HOME: log.dir },
  });
  return { code, said: JSON.parse(stdout === "" ? stderr : stdout) };
};
const prove = (...words: readonly string[]) => run("prove", ...words, "--ledger", log.ledger);
const proven = async (older: string, newer: string): Promise<string> =>
  (await prove("--from", older, "--to", newer)).said.proof;

/** The public keys of these purposes, as an auditor has them. */
function keySet(...purposes: readonly string[]): string {
  const keys = readdirSync(log.keys)
    .filter((name) => purposes.some((purpose) => name.startsWith(`${purpose}-`)))
    .map((name) => ({
      ...publicJwk(readKeyFile(join(log.keys, name), "ed25519")),
      "latchgate:purpose": name.split("-")[0],
    }));
  return written(`${purposes.join("-")}.json`, JSON.stringify({ keys }));
}
/** What the checkpoint key signs when it is told to. */
function signed(change: Partial<Checkpoint>, of: number): string {
  const key = readKeyFile(
    join(log.keys, readdirSync(log.keys).find((name) => name.startsWith("checkpoint-")) ?? ""),
    "ed25519",
  );
  const checkpoint = parseCheckpoint(note(of))?.checkpoint ?? expect.unreachable("no checkpoint");
  return signCheckpoint({ ...checkpoint, ...change }, key, fromBase64url(publicJwk(key).x) ?? Buffer.of());
}

test("any two checkpoints of a log are proven to be of one history, and no other two", async () => {
  expect(sizes.length).toBeGreaterThan(4);
  for (const [i, older] of sizes.entries())
    for (const newer of sizes.slice(i)) {
      const text = await proven(String(older), String(newer));
      expect(readConsistency(text)).toMatchObject({ older: { size: older }, newer: { size: newer } });
      const file = written("two.consistency", text);
      expect(await run("verify", file, "--trust", keySet("checkpoint"))).toMatchObject({
        code: 0,
        said: { ok: true, verdict: "intact", trusted: true, older: { size: older }, newer: { size: newer } },
      });
    }
}, 60_000);

describe("a proof of two checkpoints", () => {
  const [A, B] = [1, 3];
  const at = (n: number) => sizes[n] ?? 0;
  const verify = async (text: string, ...flags: readonly string[]) => {
    const { code, said } = await run("verify", written("one.consistency", text), ...flags);
    return { code, verdict: said.verdict, kind: said.first_damage?.kind, anchored_to: said.anchored_to };
  };

  test("without a key is consistent and no more; with a fingerprint it says what it needs", async () => {
    const text = await proven(String(at(A)), String(at(B)));
    expect(await verify(text)).toMatchObject({ code: 0, verdict: "consistent", anchored_to: null });
    const said = await verify(
      text,
      "--trust",
      `SHA256:${thumbprint({ kty: "OKP", crv: "Ed25519", x: "A" })}`,
    );
    expect(said.code).toBe(1);
  });

  test("may be of a note that somebody kept, and of the newest", async () => {
    const kept = written("kept.txt", note(at(A)));
    const { code, said } = await prove("--from", kept);
    expect(code).toBe(0);
    expect(readConsistency(said.proof)).toMatchObject({
      older: { size: at(A) },
      newer: { size: sizes.at(-1) },
    });
  });

  test("is as good by anchors as by keys, and each of the two needs one", async () => {
    const text = await proven(String(at(A)), String(at(B)));
    const anchors = [A, B].map((n) => ["--anchor", written(`anchor${n}.txt`, note(at(n)))]);
    expect(await verify(text, ...anchors.flat())).toMatchObject({
      code: 0,
      verdict: "intact",
      anchored_to: at(B),
    });
    expect(await verify(text, ...(anchors[0] ?? []))).toMatchObject({ verdict: "consistent" });
    const trust = ["--trust", keySet("evidence")];
    expect(await verify(text, ...trust, ...(anchors[0] ?? []))).toMatchObject({ code: 11, kind: "trust" });
    expect(await verify(text, ...trust, ...anchors.flat())).toMatchObject({ code: 0, verdict: "intact" });
    expect(await verify(text, ...trust)).toMatchObject({ code: 11, kind: "trust" });
    const other = ["--anchor", `${at(B)} ${"0".repeat(64)}`];
    expect(await verify(text, ...other, "--trust", keySet("checkpoint"))).toMatchObject({
      code: 12,
      kind: "anchor",
    });
  });

  test("that was altered, or is of two logs, is damaged", async () => {
    const text = await proven(String(at(A)), String(at(B)));
    const path = readConsistency(text)?.proof.path ?? [];
    const made = (older: string, newer: string, hashes: readonly Uint8Array[] = path) =>
      formatConsistency({ older, newer, path: hashes });
    expect(made(note(at(A)), note(at(B)))).toBe(text);
    const trust = ["--trust", keySet("checkpoint")];
    const [origin, root] = [checkpointOrigin("01a205ba-0000-7000-8000-000000000000"), Buffer.alloc(32)];
    for (const wrong of [
      made(note(at(B)), note(at(A))),
      made(note(at(A)), note(at(B + 1))),
      made(note(at(A)), note(at(B)), path.slice(1)),
      made(note(at(A)), note(at(B)), [...path, root]),
      made(note(at(A)), note(at(B)), path.with(0, root)),
      made(signed({ root }, at(A)), note(at(B))),
      made(note(at(A)), signed({ root }, at(B))),
      made(signed({ origin }, at(A)), note(at(B))),
      text.replace("\n\n", "\nno hash\n\n"),
      text.replace("\n\n", "\n\n\n\n"),
      `${text}\n${note(at(B))}`,
      text.slice(0, -1),
    ])
      expect(await verify(wrong, ...trust)).toMatchObject({
        code: 10,
        verdict: "damaged",
        kind: "checkpoint",
      });
    const unsigned = text.replace(/.{8}=\n$/, "AAAAAAAA=\n");
    expect(await verify(unsigned, ...trust)).toMatchObject({ code: 11, kind: "trust" });
  }, 30_000);
});

describe("nothing is proven", () => {
  const code = async (...words: readonly string[]) => {
    const ended = await prove(...words);
    return { exit: ended.code, error: ended.said.error?.code };
  };

  test("of a checkpoint of another history, though the log's own key signed it", async () => {
    const fork = written("fork.txt", signed({ root: Buffer.alloc(32) }, sizes[1] ?? 0));
    expect(await code("--from", fork)).toEqual({ exit: 1, error: "not_consistent" });
    const elsewhere = written("elsewhere.txt", signed({ origin: "latchgate/x" }, sizes[1] ?? 0));
    expect(await code("--from", elsewhere)).toEqual({ exit: 1, error: "not_consistent" });
  });

  test("of a checkpoint that is not there, is no checkpoint, or lies beyond the log", async () => {
    expect(await code("--from", "99")).toEqual({ exit: 1, error: "checkpoint_unknown" });
    expect(await code("--from", written("none.txt", "none"))).toEqual({
      exit: 1,
      error: "checkpoint_unknown",
    });
    const beyond = written("beyond.txt", signed({ size: 1000 }, sizes[1] ?? 0));
    expect(await code("--from", String(sizes[0]), "--to", beyond)).toEqual({
      exit: 1,
      error: "checkpoint_unknown",
    });
    const [first, second] = sizes.map(String);
    expect(await code("--from", second ?? "", "--to", first ?? "")).toEqual({
      exit: 1,
      error: "checkpoint_unknown",
    });
  });

  test("by a node of the tree that somebody changed", async () => {
    const copy = join(log.dir, "spoilt.db");
    withDatabase(log.ledger, (db) => db.run(`VACUUM INTO '${copy}'`));
    withDatabase(copy, (db) => db.run("UPDATE nodes SET hash = randomblob(32)"));
    const ended = await run("prove", "--from", String(sizes[1]), "--ledger", copy);
    expect({ exit: ended.code, error: ended.said.error.code }).toEqual({ exit: 1, error: "not_consistent" });
  });

  test("by a command line that does not say what", async () => {
    for (const words of [[], ["--to", "3"], [crypto.randomUUID(), "--from", "3"], ["--from", "x"]])
      expect((await prove(...words)).code).toBe(2);
  });
});
