/** What has ended is forgotten, and still can't come back. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { EntryPayload } from "../../src/ledger/entry/entry.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { DamageLog } from "../../src/ledger/verify/report.ts";
import { LogRules } from "../../src/ledger/verify/rules.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, rewrite, withDatabase } from "./forge.ts";
import { type LivedLedger, liveALittle } from "./lived-ledger.ts";

let lived: LivedLedger;
beforeAll(async () => {
  lived = await liveALittle();
});
afterAll(() => lived[Symbol.asyncDispose]());

type Body = Record<string, unknown>;

test("the rules keep as much after a thousand lives as after one", () => {
  const damage = new DamageLog();
  const rules = new LogRules(damage);
  const sizes: number[] = [];
  const bodies = lived.rows.map(payloadOf).filter(({ type }) => type !== "log.opened");
  const epochs = bodies.filter(({ type }) => type === "revocation").length;
  for (let life = 0; life < 1000; life++) {
    // Each life under ids and proofs of its own, after the one before; the epoch goes on.
    const own = (id: string) => `${String(life).padStart(8, "0")}${id.slice(8)}`;
    for (const body of bodies) {
      const text = JSON.stringify(body, (name, value: unknown) => {
        if (/^(grant|approval)_id$/.test(name) && typeof value === "string") return own(value);
        if (name === "proof" && typeof value === "string") return own(value);
        if (/^(previous_)?epoch$/.test(name)) return (value as number) + life * epochs;
        return name === "statement" ? null : value;
      }).replaceAll("signed_statement", "operator_dpop");
      const entry = JSON.parse(text) as Body;
      if (life === 0 || entry.type !== "policy.changed") rules.take(entry as unknown as EntryPayload);
    }
    sizes.push(rules.remembered);
  }
  expect(damage.first).toBeNull();
  expect(rules.grants).toBeGreaterThan(5000);
  expect(sizes.at(-1)).toBe(sizes[0] ?? -1);
  expect(rules.remembered).toBe(0);
});

const REUSES: readonly (readonly [what: string, member: "grant_id" | "receipt_id", exit: number])[] = [
  ["a grant that has ended, granted and ended again", "grant_id", 10],
  ["a receipt's id on another receipt", "receipt_id", 10],
];

test.each(REUSES)("%s: found, in a table whose constraints are gone", (_, member, exit) => {
  const copy = lived.copy();
  const bodies = lived.rows.map(payloadOf);
  const [first, second] = bodies.filter(({ type }) => type === "call.receipt");
  const from = second?.[member] as string;
  const to = first?.[member] as string;
  rewrite(copy.ledger, {
    keys: copy.keys,
    edit: (text) => canonicalJson(JSON.parse(text.replaceAll(`"${from}"`, `"${to}"`)) as never),
  });
  withDatabase(copy.ledger, (db) => {
    db.run("CREATE TABLE loose AS SELECT * FROM grants");
    db.run("DROP TABLE grants");
    db.run("ALTER TABLE loose RENAME TO grants");
    expect(db.run(`UPDATE grants SET ${member} = ? WHERE ${member} = ?`, [to, from]).changes).toBe(1);
  });
  const report = verifyLedgerFile(copy.ledger, { trust: readTrust(lived.fingerprint), strict: true });
  expect(report).toMatchObject({
    exit_code: exit,
    damage: { rules: 1 },
    first_damage: { detail: `a ${member.replace("_", " ")} is used twice` },
  });
  expect(verifyLedger(copy.ledger, lived.fingerprint).exit_code).toBe(exit);
  copy.remove();
});
