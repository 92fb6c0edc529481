/**
 * Each rule alone: all else of the log is right, so that nothing but this one rule finds it. Whoever holds the evidence key
 * can write such a log.
 */
import { afterEach, expect, test } from "bun:test";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { verifyLedger } from "../independent/verify.ts";
import { judge, payloadOf, readRows } from "./forge.ts";
import {
  approval,
  approved,
  grant,
  HASH,
  hold,
  jktOf,
  lease,
  PAST,
  policy,
  receipt,
  request,
  revocation,
} from "./said.ts";
import { type Said, type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

const ELSE = "01a205ba-0000-7000-8000-00000000ffff";
const OTHER = "f".repeat(64);
const byProof = (proof: string) => ({ kind: "proof", proof, approval_id: null, idempotency: null });
const effect = (change: Record<string, unknown>) => receipt({ effects: [request(change)] });
/** Of the first entry, as the scratch log has it. */
const opening = (log: ScratchLog): Said => {
  const { schema, gate_version, keys } = payloadOf(readRows(log.ledger)[0] ?? { jws: "" });
  return { type: "log.opened", body: { schema, gate_version, keys } };
};

/** A log that says these things after its opening and its first policy. */
async function told(said: readonly Said[] | ((log: ScratchLog) => readonly Said[])) {
  const log = scratchLog();
  logs.push(log);
  await log.writer.run([task("say", policy(null, "ours"))]);
  for (const one of typeof said === "function" ? said(log) : said) await log.writer.run([task("say", one)]);
  const { kid } = log.writer.keys.current("evidence");
  log.writer.close();
  const rows = readRows(log.ledger);
  return {
    last: rows.length - 1,
    byRow: judge(rows, kid),
    vouched: verifyLedgerFile(log.ledger, { trust: readTrust(kid), strict: false }),
    independent: verifyLedger(log.ledger, kid),
  };
}

const GOOD: readonly (readonly [what: string, said: readonly Said[]])[] = [
  ["a call by its proof", [lease(0), grant("ours"), receipt({ effects: [request()] })]],
  ["a call by its approval", [hold(), approval("B", 1), approval("C", 2), approved(["B", "C"]), receipt()]],
  [
    "an effect elsewhere that never left the gate",
    [grant("ours"), effect({ origin: "https://x.example", reached: "none" })],
  ],
  [
    "a read-back of an answered request",
    [grant("ours"), receipt({ effects: [request({ method: "POST" }), request({ purpose: "read_back" })] })],
  ],
  ["a new epoch", [revocation(0, 1), lease(1)]],
];
test.each(GOOD)("%s breaks no rule", async (_, said) => {
  const { byRow, vouched, independent } = await told(said);
  expect(byRow).toMatchObject({ exit_code: 0, damage: {} });
  expect(vouched.damage.rules).toBeUndefined();
  // The table of grants of such a log is empty, and nothing else is wrong with it.
  expect(independent.faults.filter((fault) => !fault.startsWith("13 "))).toEqual([]);
});

const BROKEN: readonly (readonly [
  what: string,
  said: readonly Said[] | ((log: ScratchLog) => readonly Said[]),
  detail: string,
])[] = [
  ["a log that is opened twice", (log) => [opening(log)], "the log is opened twice"],
  ["two open holds of one id", [hold(), hold()], "an approval id is used twice"],
  [
    "two open grants of one id",
    [grant("ours"), grant("ours", { cause: byProof(OTHER) })],
    "a grant id is used twice",
  ],
  [
    "a proof that comes with an approval",
    [grant("ours", { cause: { ...byProof(HASH), approval_id: ELSE } })],
    "a proof was granted twice",
  ],
  [
    "a grant by an approval that had run out",
    [hold({ expires: PAST }), approval("B", 1), approved(["B"])],
    "a grant by an approval whose time was over",
  ],
  [
    "a grant that leaves out one who approved",
    [hold(), approval("B", 1), approval("C", 2), approved(["B"])],
    "the approvers of the grant are not those who approved",
  ],
  [
    "a grant that names somebody in the place of one who approved",
    [hold(), approval("B", 1), approved(["C"])],
    "the approvers of the grant are not those who approved",
  ],
  [
    "a grant by the approval of fewer than it takes",
    [hold({ quorum: 2 }), approval("B", 1), approved(["B"])],
    "a grant without its quorum of approvers",
  ],
  [
    "an approval by the one who asked",
    [hold({ jkt: jktOf("B") }), approval("B", 1)],
    "the one who asked approved",
  ],
  [
    "a revocation of an epoch that is not in force",
    [revocation(1, 2)],
    "the revocation does not continue the epochs",
  ],
  ["a revocation that skips an epoch", [revocation(0, 2)], "the revocation does not continue the epochs"],
  [
    "a lease under an epoch that has ended",
    [revocation(0, 1), lease(0)],
    "a lease under another epoch than the one in force",
  ],
  [
    "a call held under an epoch that has ended",
    [revocation(0, 1), hold()],
    "a call was held under a revoked epoch",
  ],
  [
    "a grant under an epoch that has ended",
    [revocation(0, 1), grant("ours")],
    "a grant under a revoked epoch",
  ],
  [
    "a grant under a policy that was replaced",
    [policy("ours", "newer"), grant("ours")],
    "a grant under another policy than the one in force",
  ],
  [
    "a policy that hides the one before",
    [policy("another", "newer")],
    "the policy change does not follow the last one",
  ],
  ["a receipt of nothing", [receipt()], "a receipt without an open grant"],
  [
    "a second receipt",
    [grant("ours"), receipt(), receipt({ receipt_id: ELSE })],
    "a receipt without an open grant",
  ],
  ...(
    [
      ["component_digest", `sha256:${OTHER}`],
      ["action_digest", `sha256:${OTHER}`],
      ["trace_id", ELSE],
      ["tenant", "other"],
      ["principal", "other"],
      ["session_id", ELSE],
      ["action_id", "other"],
    ] as const
  ).map(
    ([member, value]) =>
      [
        `a receipt of another ${member}`,
        [grant("ours"), receipt({ [member]: value })],
        "the receipt is of another call than its grant",
      ] as const,
  ),
  [
    "an effect elsewhere that may have reached it",
    [grant("ours"), effect({ origin: "https://x.example", reached: "maybe" })],
    "an effect outside what was granted",
  ],
  [
    "a credential that was not granted",
    [grant("ours"), effect({ secrets: ["TOKEN"], reached: "maybe" })],
    "a credential that was not granted",
  ],
  [
    "a read-back of a request that was not answered",
    [
      grant("ours"),
      receipt({
        effects: [request({ method: "POST", reached: "maybe" }), request({ purpose: "read_back" })],
      }),
    ],
    "a read-back of no effect of the call",
  ],
  [
    "a tale of a clock that stood still",
    [{ type: "clock.regressed", body: { high_water: PAST } }],
    "the entry tells of a clock that did not go back",
  ],
];
test.each(BROKEN)("found, though all else is right: %s", async (_, said, detail) => {
  const { last, byRow, vouched, independent } = await told(said);
  const found = { verdict: "damaged", exit_code: 10, damage: { rules: 1 } };
  expect(byRow).toMatchObject({ ...found, first_damage: { kind: "rules", seq: last, detail } });
  expect(vouched).toMatchObject(found);
  expect(independent).toMatchObject({ verdict: "damaged", exit_code: 10 });
});
