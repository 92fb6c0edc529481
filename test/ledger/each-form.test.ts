/** Each check of the chain, the keys and what is signed, alone: all else of the log is right. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createPrivateKey, sign } from "node:crypto";
import { copyFileSync, cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { possessionMessage } from "../../src/keys/history.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import type { StoredEntry } from "../../src/ledger/verify/log-verifier.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import {
  judge,
  leafOf,
  payloadOf,
  readRows,
  resign,
  rewriteRows,
  withDatabase,
  writeNodes,
} from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

type Body = Record<string, unknown>;

let log: ScratchLog;
let rows: readonly StoredEntry[];
let kid: string;
/** Where the second evidence key comes in. */
const ROTATION = 3;
/** And the second lease key. */
const LEASE_ROTATION = 5;
beforeAll(async () => {
  log = scratchLog();
  // Who copied a key before it was retired still has it.
  const stolen = join(log.dir, "stolen");
  cpSync(log.keys, stolen, { recursive: true });
  await log.writer.run([task("stop", "a"), task("stop", "b"), task("rotate", "evidence"), task("stop", "c")]);
  await log.writer.run([task("rotate", "lease"), task("stop", "d"), task("stop", "e")]);
  kid = log.writer.keys.all()[0]?.kid ?? "";
  log.writer.close();
  cpSync(stolen, log.keys, { recursive: true, force: false });
  rows = readRows(log.ledger);
});
afterAll(() => log.remove());

/** Written anew from one entry on, with the real keys and every link right. */
const edited = (at: number, change: (body: Body) => unknown): readonly StoredEntry[] =>
  rewriteRows(rows, {
    keys: log.keys,
    edit: (text, seq) => {
      if (seq !== at) return text;
      const body = JSON.parse(text) as Body;
      change(body);
      return canonicalJson(body as never); // parsed from json
    },
  });

let copies = 0;
/** What the verifier says of these rows one by one, of a file that has them, and what the other verifier says of that. */
function verdicts(changed: readonly StoredEntry[]) {
  const path = join(log.dir, `copy${copies++}.db`);
  copyFileSync(log.ledger, path);
  withDatabase(path, (db) => {
    db.run("DELETE FROM checkpoints");
    db.run("DELETE FROM entries");
    for (const row of changed) {
      const { seq, id, type, time_ms, trace_id, tenant, principal, action_id, decision, jws, hash } = row;
      const values = [seq, id, type, time_ms, trace_id, tenant, principal, action_id, decision, jws, hash];
      db.run(`INSERT INTO entries VALUES (${values.map(() => "?").join(", ")})`, values);
    }
    writeNodes(
      db,
      changed.map(({ jws }) => leafOf(jws)),
    );
  });
  return {
    byRow: judge(changed, kid),
    byFile: verifyLedgerFile(path, { trust: readTrust(kid), strict: true }),
    independent: verifyLedger(path, kid),
  };
}

test("signed again as it was, it stands", () => {
  const { byRow, byFile, independent } = verdicts(edited(2, () => undefined));
  expect([byRow, byFile, independent]).toMatchObject([{ exit_code: 0 }, { exit_code: 0 }, { exit_code: 0 }]);
});

/** The last entry alone is what it is: nothing after it could show the same. */
const last = () => rows.length - 1;
const lastAs = (jws: string): readonly StoredEntry[] =>
  rows.map((row) => (row.seq === last() ? { ...row, jws, hash: leafOf(jws) } : row));
const signedAs = (header: string, text: string) =>
  resign(Buffer.from(header).toString("base64url"), text, log.keys);
const textOf = (seq: number) => canonicalJson(payloadOf(rows[seq] ?? { jws: "" }) as never);
const header = (more = "", of = keyAt(last())) =>
  `{"alg":"EdDSA",${more}"kid":"${of}","typ":"latchgate-entry+jws"}`;
const keyAt = (seq: number): string =>
  JSON.parse(Buffer.from(rows[seq]?.jws.split(".")[0] ?? "", "base64url").toString()).kid;
/** What the new key signs at a rotation, for another log or position. */
const possession = (name: string, message: Buffer, hash: "sha256" | null = null) => {
  const file = readdirSync(log.keys).find((one) => one.startsWith(name)) ?? "";
  const key = createPrivateKey(readFileSync(join(log.keys, file)));
  return sign(hash, message, { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
};
/** y = 1: the neutral element, which any signature of zeros is by. */
const SMALL = Buffer.from([1, ...Array<number>(31).fill(0)]).toString("base64url");

const BROKEN: readonly (readonly [
  what: string,
  make: () => readonly StoredEntry[],
  exit: number,
  kind: string,
  detail: string,
])[] = [
  [
    "an entry that says another position",
    () => edited(last(), (body) => Object.assign(body, { seq: last() + 1 })),
    10,
    "chain",
    "the entry says another position",
  ],
  [
    "an entry of another log",
    () => edited(last(), (body) => Object.assign(body, { log: "01a205ba-0000-7000-8000-000000000000" })),
    10,
    "chain",
    "the entry is of another log",
  ],
  [
    "an entry that continues another one",
    () => edited(last(), (body) => Object.assign(body, { prev: "0".repeat(64) })),
    10,
    "chain",
    "the entry does not continue the one before",
  ],
  [
    "an entry that is left out, with all after it linked anew",
    () => rewriteRows(rows.toSpliced(2, 1), { keys: log.keys, edit: (text) => text }),
    10,
    "chain",
    "entry 2 is missing or out of order",
  ],
  ["no entry at all", () => [], 10, "chain", "the log is empty"],
  [
    "a log without its opening",
    () => edited(0, (body) => Object.assign(body, { type: "gate.stopped", reason: "x", ...NOTHING })),
    10,
    "chain",
    "the log does not start with its opening",
  ],
  [
    "an opening key of small order",
    () =>
      edited(0, (body) => Object.assign((body.keys as Record<string, Body>).recovery ?? {}, { x: SMALL })),
    11,
    "key",
    "an opening key is not admitted",
  ],
  [
    "one opening key for two purposes",
    () =>
      edited(0, (body) => {
        const keys = body.keys as Record<string, Body>;
        keys.recovery = keys.checkpoint ?? {};
      }),
    11,
    "key",
    "an opening key is not admitted",
  ],
  [
    "a text that is no entry",
    () => lastAs("no entry"),
    11,
    "signature",
    "not a signed entry in canonical form",
  ],
  [
    "an entry with a fourth part",
    () => lastAs(`${rows[last()]?.jws}.AAAA`),
    11,
    "signature",
    "not a signed entry in canonical form",
  ],
  [
    "an entry with more in its header, under a signature that holds",
    () => lastAs(signedAs(header('"b64":true,'), textOf(last()))),
    11,
    "signature",
    "not a signed entry in canonical form",
  ],
  [
    "another signature than the key's",
    () => lastAs(rows[last()]?.jws.replace(/.{86}$/, `${"A".repeat(85)}Q`) ?? ""),
    11,
    "signature",
    "the signature is not valid",
  ],
  [
    "an entry by the key that was retired",
    () => lastAs(signedAs(header("", keyAt(0)), textOf(last()))),
    11,
    "key",
    "signed by a key that is not in force there",
  ],
  [
    "a payload that is signed and not canonical",
    () => lastAs(signedAs(header(), ` ${textOf(last())}`)),
    11,
    "entry",
    "payload is not canonical json",
  ],
  [
    "a day that does not exist",
    () =>
      edited(last(), (body) =>
        Object.assign(body, { time: String(body.time).replace(/-\d\d-\d\dT/, "-02-30T") }),
      ),
    11,
    "entry",
    "payload.time: no such time",
  ],
  [
    "a payload behind a byte order mark",
    () => lastAs(signedAs(header(), `\ufeff${textOf(last())}`)),
    11,
    "entry",
    "payload is not json",
  ],
  [
    "a rotation under another name than the key's own",
    () =>
      edited(ROTATION, (body) =>
        Object.assign(body, {
          possession: possession(
            `evidence-${body.kid}`,
            possessionMessage(String(body.log), ROTATION, "B".repeat(43)),
          ),
          kid: "B".repeat(43),
        }),
      ),
    11,
    "key",
    "the key rotation is not valid",
  ],
  [
    "a rotation of the lease key under another name than its own",
    () =>
      edited(LEASE_ROTATION, (body) => {
        const name = "B".repeat(43);
        const message = possessionMessage(String(body.log), LEASE_ROTATION, name);
        return Object.assign(body, {
          possession: possession(`lease-${body.kid}`, message, "sha256"),
          kid: name,
        });
      }),
    11,
    "key",
    "the key rotation is not valid",
  ],
  [
    "a rotation with the possession of another position",
    () =>
      edited(ROTATION, (body) =>
        Object.assign(body, {
          possession: possession(
            `evidence-${body.kid}`,
            possessionMessage(String(body.log), ROTATION + 1, String(body.kid)),
          ),
        }),
      ),
    11,
    "key",
    "the key rotation is not valid",
  ],
];
/** Members of the opening that no other entry has: left out of the canonical text. */
const NOTHING = { keys: undefined, gate_version: undefined, schema: undefined };

test.each(BROKEN)("found, though all else is right: %s", (_, make, exit, kind, detail) => {
  const { byRow, byFile, independent } = verdicts(make());
  expect(byRow).toMatchObject({ verdict: "damaged", exit_code: exit, first_damage: { kind, detail } });
  expect(byFile).toMatchObject({ verdict: "damaged", exit_code: exit, first_damage: { kind, detail } });
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: exit });
});

const COLUMNS = [
  "id",
  "type",
  "time_ms",
  "trace_id",
  "tenant",
  "principal",
  "action_id",
  "decision",
] as const;
test.each(COLUMNS)("found, though all else is right: another value in the column %s", (column) => {
  const value = column === "time_ms" ? 1 : "other";
  const { byRow, byFile, independent } = verdicts(
    rows.map((row) => (row.seq === last() ? { ...row, [column]: value } : row)),
  );
  const detail = `the column ${column} differs from the entry`;
  const found = { exit_code: 13, damage: { projection: 1 }, first_damage: { seq: last(), detail } };
  expect([byRow, byFile]).toMatchObject([found, found]);
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: 13 });
});

test("found, though all else is right: another stored hash", () => {
  const { byRow, byFile, independent } = verdicts(
    rows.map((row) => (row.seq === last() ? { ...row, hash: Buffer.alloc(32) } : row)),
  );
  const found = { exit_code: 13, first_damage: { detail: "the stored hash differs from the entry" } };
  expect([byRow, byFile, independent]).toMatchObject([found, found, { exit_code: 13 }]);
});
