/** Each check of stored checkpoints and of those that an auditor kept, alone: the checkpoint key has signed what is wrong. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sign } from "node:crypto";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { fromBase64url } from "../../src/core/bytes.ts";
import { publicJwk } from "../../src/keys/jwk.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import {
  type Checkpoint,
  checkpointOrigin,
  parseCheckpoint,
  signCheckpoint,
} from "../../src/ledger/checkpoint.ts";
import { parseAnchor } from "../../src/ledger/verify/anchors.ts";
import {
  LogVerifier,
  type StoredCheckpoint,
  type StoredEntry,
} from "../../src/ledger/verify/log-verifier.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { readCheckpoints, readRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
let rows: readonly StoredEntry[];
let real: Checkpoint;
let kids: { readonly evidence: string; readonly retired: string; readonly current: string };
beforeAll(async () => {
  log = scratchLog();
  const stolen = join(log.dir, "stolen");
  cpSync(log.keys, stolen, { recursive: true });
  const retired = log.writer.keys.current("checkpoint").kid;
  await log.writer.run([task("stop", "a"), task("rotate", "checkpoint"), task("stop", "b")]);
  const { evidence, checkpoint } = {
    evidence: log.writer.keys.current("evidence").kid,
    checkpoint: log.writer.keys.current("checkpoint").kid,
  };
  kids = { evidence, retired, current: checkpoint };
  log.writer.close();
  cpSync(stolen, log.keys, { recursive: true, force: false });
  rows = readRows(log.ledger);
  const note = readCheckpoints(log.ledger).at(-1)?.note ?? "";
  const parsed = parseCheckpoint(note)?.checkpoint;
  if (parsed === undefined) throw new Error("no checkpoint");
  real = parsed;
});
afterAll(() => log.remove());

/** The note of a checkpoint, signed with a key of the log. */
function noted(change: Partial<Checkpoint> = {}, by: keyof typeof kids = "current"): string {
  const key = readKeyFile(
    join(log.keys, `${by === "evidence" ? by : "checkpoint"}-${kids[by]}.pem`),
    "ed25519",
  );
  return signCheckpoint({ ...real, ...change }, key, fromBase64url(publicJwk(key).x) ?? Buffer.of());
}
/** The same with one line more in its text, under the same key. */
function extended(): string {
  const key = readKeyFile(join(log.keys, `checkpoint-${kids.current}.pem`), "ed25519");
  const [text = ""] = noted().split("\n\n");
  const [name, blob = ""] = (noted().trimEnd().split("\n").at(-1) ?? "").slice(2).split(" ");
  const more = `${text}\nmore\n`;
  const id = Buffer.from(blob, "base64").subarray(0, 4);
  const signature = Buffer.concat([id, sign(null, Buffer.from(more), key)]);
  return `${more}\n— ${name} ${signature.toString("base64")}\n`;
}
const OTHER = checkpointOrigin("01a205ba-0000-7000-8000-000000000000");
const rootAt = (size: number): Buffer => {
  const verifier = new LogVerifier([]);
  for (const row of rows.slice(0, size)) verifier.take(row);
  return Buffer.from(verifier.finish(readTrust(undefined), false).root ?? "", "hex");
};

function judged(checkpoints: readonly StoredCheckpoint[], anchors: readonly string[] = []) {
  const read = anchors.map((text) => parseAnchor(text) ?? expect.unreachable("no anchor"));
  const verifier = new LogVerifier(checkpoints, read);
  for (const row of rows) verifier.take(row);
  return verifier.finish(readTrust(kids.evidence), true);
}
const stored = (note: string, change: Partial<StoredCheckpoint> = {}): StoredCheckpoint => ({
  ...{ size: real.size, root: real.root, note },
  ...change,
});

test("as the log signed it, it holds", () => {
  expect(judged([stored(noted())], [noted()])).toMatchObject({ exit_code: 0, anchored_to: real.size });
});

describe("a stored checkpoint is found, though its key has signed it:", () => {
  test.each([
    ["whose note has another size", () => stored(noted({ size: real.size - 1 }))],
    ["whose note has another root", () => stored(noted({ root: rootAt(2) }))],
    ["whose note is of another log", () => stored(noted({ origin: OTHER }))],
    ["whose row has another root", () => stored(noted(), { root: rootAt(2) })],
    ["whose note has a further line", () => stored(extended())],
  ])("%s", (_, make) => {
    expect(judged([make()])).toMatchObject({
      exit_code: 10,
      damage: { checkpoint: 1 },
      first_damage: { kind: "checkpoint", seq: real.size - 1 },
    });
  });

  test("of a size that the log never reached, or passed before", () => {
    const beyond = stored(noted({ size: 99 }), { size: 99 });
    for (const strays of [[beyond], [stored(noted(), { size: 0 }), stored(noted())]])
      expect(judged(strays)).toMatchObject({
        exit_code: 10,
        first_damage: { kind: "checkpoint", seq: null },
      });
  });

  test.each([["retired"], ["evidence"]] as const)("signed by the %s key", (by) => {
    expect(judged([stored(noted({}, by))])).toMatchObject({
      exit_code: 11,
      first_damage: { kind: "signature", detail: "the checkpoint's signature is not valid" },
    });
  });
});

describe("an anchor", () => {
  test("that the evidence key signed is none of this log's", () => {
    expect(judged([], [noted({}, "evidence")])).toMatchObject({
      exit_code: 12,
      anchored_to: null,
      first_damage: { detail: "an anchor is not signed by a checkpoint key of this log" },
    });
  });

  test("that a retired checkpoint key signed in its time holds", () => {
    const early = noted({ size: 2, root: rootAt(2) }, "retired");
    expect(judged([], [early])).toMatchObject({ exit_code: 0, anchored_to: 2 });
  });

  test("of another log, by a key that this one has, is found", () => {
    expect(judged([], [noted({ origin: OTHER })])).toMatchObject({
      exit_code: 12,
      first_damage: { detail: "an anchor is of another log" },
    });
  });
});
