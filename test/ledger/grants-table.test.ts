/** The table of grants against the entries: each change of it alone is found, as nothing else of the file is touched. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, readRows, withDatabase } from "./forge.ts";
import { approval, approved, grant, hold, policy, receipt } from "./said.ts";
import { type Said, type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
const id = (n: number) => `01a205ba-0000-7000-8000-00000000000${n}`;

/** A log that says these things under a policy, with the table of grants that follows from it. */
async function told(said: readonly Said[], prepare = "SELECT 1"): Promise<ScratchLog> {
  const log = scratchLog();
  for (const one of [policy(null, "ours"), ...said]) await log.writer.run([task("say", one)]);
  log.writer.close();
  withDatabase(log.ledger, (db) => {
    db.run(prepare);
    for (const body of readRows(log.ledger).map(payloadOf)) {
      const values = (...names: readonly string[]) =>
        names.map((name) => (body[name] ?? null) as string | number); // columns of the table
      if (body.type === "call.granted")
        db.run(
          "INSERT INTO grants (grant_id, seq, session_id, principal, approval_id) VALUES (?, ?, ?, ?, ?)",
          [
            ...values("grant_id", "seq", "session_id", "principal"),
            (body.cause as { readonly approval_id: string | null }).approval_id,
          ],
        );
      if (body.type === "call.receipt")
        db.run(
          "UPDATE grants SET receipt_id = ?, receipt_seq = ? WHERE grant_id = ? AND receipt_id IS NULL",
          values("receipt_id", "seq", "grant_id"),
        );
    }
  });
  return log;
}

const byProof = (n: number) => ({
  cause: { kind: "proof", proof: String(n).repeat(64), approval_id: null, idempotency: null },
  grant_id: id(n),
});
beforeAll(async () => {
  log = await told([
    grant("ours", byProof(1)),
    grant("ours", byProof(2)),
    receipt({ grant_id: id(1), receipt_id: id(3) }),
    receipt({ grant_id: id(2), receipt_id: id(4) }),
    hold(),
    approval("B", 1),
    // Open, and by an approval.
    approved(["B"]),
  ]);
});
afterAll(() => log.remove());

let copies = 0;
function verdicts(sql: string) {
  const path = join(log.dir, `copy${copies++}.db`);
  copyFileSync(log.ledger, path);
  withDatabase(path, (db) => expect(db.run(sql).changes).toBeGreaterThan(0));
  return {
    shipped: verifyLedgerFile(path, { trust: readTrust(undefined), strict: false }),
    independent: verifyLedger(path, null),
  };
}
const OPEN = "WHERE receipt_id IS NULL";

test("as the entries say it, it is sound", () => {
  const { shipped, independent } = verdicts("UPDATE grants SET seq = seq");
  expect(shipped).toMatchObject({ exit_code: 0, grants: 3, receipts: 2 });
  expect(independent).toMatchObject({ exit_code: 0, faults: [] });
});

test.each([
  ["another grant id", `UPDATE grants SET grant_id = '${id(9)}' ${OPEN}`],
  ["another approval", `UPDATE grants SET approval_id = '${id(9)}' ${OPEN}`],
  ["no approval", `UPDATE grants SET approval_id = NULL ${OPEN}`],
  ["another session", `UPDATE grants SET session_id = '${id(9)}' ${OPEN}`],
  ["another principal", `UPDATE grants SET principal = 'somebody' ${OPEN}`],
  ["another position", `UPDATE grants SET seq = 99 ${OPEN}`],
  ["no row of an open grant", `DELETE FROM grants ${OPEN}`],
  [
    "a row of no grant",
    "INSERT INTO grants (grant_id, seq, session_id, principal) VALUES ('x', 99, 's', 'p')",
  ],
  ["another receipt id", `UPDATE grants SET receipt_id = '${id(9)}' WHERE grant_id = '${id(2)}'`],
  [
    "a receipt that is hidden",
    `UPDATE grants SET receipt_id = NULL, receipt_seq = NULL WHERE grant_id = '${id(2)}'`,
  ],
  [
    "a receipt of an open grant that no entry is",
    `UPDATE grants SET receipt_id = '${id(9)}', receipt_seq = 99 ${OPEN}`,
  ],
  ["a receipt without its place", `UPDATE grants SET receipt_id = '${id(9)}' ${OPEN}`],
  [
    "receipts of two grants in each other's place",
    // In two steps: no two rows may have one receipt in between.
    `UPDATE grants SET receipt_seq = -receipt_seq, receipt_id = receipt_id || '-' WHERE receipt_id IS NOT NULL;
     UPDATE grants SET receipt_seq = 9 + receipt_seq,
       receipt_id = iif(receipt_id = '${id(3)}-', '${id(4)}', '${id(3)}') WHERE receipt_id IS NOT NULL`,
  ],
])("found: %s", (_, sql) => {
  const { shipped, independent } = verdicts(sql);
  expect(shipped).toMatchObject({ verdict: "damaged", exit_code: 13, first_damage: { kind: "side_table" } });
  expect(Object.keys(shipped.damage)).toEqual(["side_table"]);
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: 13 });
});

/** As the gate's own schema would not have it. */
const LOOSE = `CREATE TABLE loose AS SELECT * FROM grants; DROP TABLE grants; ALTER TABLE loose RENAME TO grants`;
const once = [hold(), approval("B", 1)];
const AGAIN: readonly (readonly [what: string, said: readonly Said[]])[] = [
  [
    "a grant id",
    [
      grant("ours", byProof(1)),
      receipt({ grant_id: id(1), receipt_id: id(3) }),
      grant("ours", { ...byProof(2), grant_id: id(1) }),
      receipt({ grant_id: id(1), receipt_id: id(4) }),
    ],
  ],
  [
    "a receipt id",
    [
      grant("ours", byProof(1)),
      receipt({ grant_id: id(1) }),
      grant("ours", byProof(2)),
      receipt({ grant_id: id(2) }),
    ],
  ],
  [
    "an approval id",
    [
      ...once,
      approved(["B"]),
      receipt(),
      ...once,
      approvedAs(id(9)),
      receipt({ grant_id: id(9), receipt_id: id(4) }),
    ],
  ],
];
function approvedAs(grant_id: string): Said {
  const { type, body } = approved(["B"]);
  return { type, body: { ...body, grant_id } };
}
test.each(AGAIN)(
  "%s that comes back after its first use has ended is found, in a table that takes it",
  async (what, said) => {
    const twice = await told(said, LOOSE);
    const shipped = verifyLedgerFile(twice.ledger, { trust: readTrust(undefined), strict: true });
    const detail = `a ${what.replace(/^an? /, "")} is used twice`;
    expect(shipped).toMatchObject({
      exit_code: 10,
      damage: { rules: 1 },
      first_damage: { kind: "rules", detail },
    });
    expect(verifyLedger(twice.ledger, null).exit_code).toBe(10);
    twice.remove();
  },
);
