/** What a writer refuses to write on. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { LedgerError } from "../../src/ledger/errors.ts";
import { payloadOf, readRows, rewrite, withDatabase } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
const copies: string[] = [];
beforeAll(async () => {
  log = scratchLog();
  await log.writer.run([task("stop", "a"), task("rotate", "evidence"), task("stop", "b")]);
  await log.writer.run([task("rotate", "lease"), task("stop", "c")]);
  log.writer.close();
});
afterAll(() => {
  log.remove();
  for (const copy of copies) Bun.spawnSync(["rm", "-rf", copy]);
});

function copy(): { readonly dir: string; readonly ledger: string; readonly keys: string } {
  const dir = mkdtempSync(join(tmpdir(), "latchgate-load-"));
  copies.push(dir);
  cpSync(log.dir, dir, { recursive: true });
  return { dir, ledger: join(dir, "ledger.db"), keys: join(dir, "keys") };
}

/** Opens the copy with a writer; the code it refuses with, or none. */
function opens(dir: string): string {
  try {
    scratchLog(dir).abandon();
    return "opened";
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerError);
    return (error as LedgerError).code;
  }
}

test("the log as it was left opens", () => {
  expect(opens(copy().dir)).toBe("opened");
});

test.each([
  ["an entry is missing", "DELETE FROM entries WHERE seq = 2"],
  ["the first entry is missing", "DELETE FROM entries WHERE seq = 0"],
  ["the last entry is missing under its checkpoint", "DELETE FROM entries WHERE seq = 5"],
  ["all entries are missing under their checkpoint", "DELETE FROM entries WHERE seq > 0"],
  ["a stored hash differs", "UPDATE entries SET hash = zeroblob(32) WHERE seq = 3"],
  [
    "two entries have changed places",
    "UPDATE entries SET seq = 9 WHERE seq = 1; UPDATE entries SET seq = 1 WHERE seq = 3; UPDATE entries SET seq = 3 WHERE seq = 9",
  ],
  ["a checkpoint has another root", "UPDATE checkpoints SET root = zeroblob(32)"],
  ["a checkpoint covers more than there is", "UPDATE checkpoints SET size = 100"],
  [
    "a rotation is hidden from the key history",
    "UPDATE entries SET type = 'gate.stopped' WHERE type = 'key.rotated'",
  ],
  [
    "an entry is repeated at the end",
    "INSERT INTO entries SELECT 6, id || 'x', type, time_ms, trace_id, tenant, principal, action_id, decision, jws, hash FROM entries WHERE seq = 5",
  ],
])("refused: %s", (_, sql) => {
  const { dir, ledger } = copy();
  withDatabase(ledger, (db) => db.run(sql));
  expect(opens(dir)).toBe("ledger_damaged");
});

test("refused: a schema that this version does not write", () => {
  const { dir, ledger } = copy();
  withDatabase(ledger, (db) => db.run("UPDATE meta SET value = '99' WHERE name = 'schema'"));
  expect(opens(dir)).toBe("ledger_unsupported");
});

/** The log with its last rotation changed, signed again by the real key in force. */
function withRotation(change: (payload: Record<string, unknown>) => void): string {
  const { dir, ledger, keys } = copy();
  const at = readRows(ledger).findLastIndex((row) => payloadOf(row).type === "key.rotated");
  const edit = (text: string, seq: number) => {
    if (seq !== at) return text;
    const payload = JSON.parse(text) as Record<string, unknown>;
    change(payload);
    return canonicalJson(payload as never); // parsed from json
  };
  rewrite(ledger, { edit, keys });
  return opens(dir);
}

const freshLease = () => {
  const jwk = publicJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
  return { jwk, kid: thumbprint(jwk) };
};

test("a rotation that is only signed anew stands", () => {
  expect(withRotation(() => undefined)).toBe("opened");
});

test("refused: a rotation to a key whose holder did not ask for it", () => {
  expect(withRotation((payload) => Object.assign(payload, freshLease()))).toBe("ledger_damaged");
});

test("refused: a rotation whose name for the key is not its thumbprint", () => {
  expect(withRotation((payload) => Object.assign(payload, { kid: freshLease().kid }))).toBe("ledger_damaged");
});

test("refused: a rotation that replaces a key which is not in force", () => {
  expect(withRotation((payload) => Object.assign(payload, { previous_kid: "A".repeat(43) }))).toBe(
    "ledger_damaged",
  );
});

test("refused: a key put to another purpose", () => {
  for (const purpose of ["evidence", "checkpoint"])
    expect(withRotation((payload) => Object.assign(payload, { purpose }))).toBe("ledger_damaged");
});

test("refused: a possession replayed from an earlier rotation", () => {
  const first = readRows(log.ledger)
    .map(payloadOf)
    .find((payload) => payload.type === "key.rotated");
  const { jwk, kid, possession } = first as Record<string, unknown>;
  expect(withRotation((payload) => Object.assign(payload, { jwk, kid, possession }))).toBe("ledger_damaged");
  expect(withRotation((payload) => Object.assign(payload, { possession }))).toBe("ledger_damaged");
});
