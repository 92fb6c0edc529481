import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { payloadOf, rewrite } from "../ledger/forge.ts";
import { type LivedLedger, liveALittle, startOn } from "../ledger/lived-ledger.ts";

let lived: LivedLedger;
let other: LivedLedger;
beforeAll(async () => {
  [lived, other] = await Promise.all([liveALittle(), liveALittle()]);
});
afterAll(async () => {
  await lived[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

/** A change that is well formed in itself: only the signature can tell. */
const soften = (text: string) =>
  text.includes('"type":"call.denied"') ? text.replace('"decision":"deny"', '"decision":"error"') : text;

test("a rewrite with every link computed again and the old signatures is found by verify", async () => {
  const copy = lived.copy();
  rewrite(copy.ledger, { edit: soften, keys: null });
  for (const trust of [[], ["--trust", lived.fingerprint]]) {
    const { code, stdout } = await lived.gate.run("verify", copy.ledger, ...trust, "--json");
    expect(code).toBe(11);
    const report = JSON.parse(stdout);
    const denied = lived.rows.findIndex((row) => payloadOf(row).type === "call.denied");
    expect(report).toMatchObject({
      ok: false,
      verdict: "damaged",
      first_damage: { kind: "signature", seq: denied, detail: "the signature is not valid" },
    });
    // Everything after it had to be linked anew, and so lost its signature too, or the key that a rotation brings.
    expect(report.damage.signature + report.damage.key).toBe(report.entries - denied);
  }
});

test("such a rewrite keeps the gate from starting", () => {
  const copy = lived.copy();
  rewrite(copy.ledger, { edit: soften, keys: null });
  const { code, stderr } = startOn(copy);
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({
    ok: false,
    error: { code: "ledger_damaged", message: expect.stringContaining("the signature is not valid") },
  });
});

test("a whole log of another key is consistent in itself, and refused by who knows the right fingerprint", async () => {
  const copy = other.copy();
  const alone = await lived.gate.run("verify", copy.ledger);
  expect(alone.code).toBe(0);
  expect(alone.stdout).toContain("consistent, signer not verified");
  expect(alone.stdout).not.toContain("intact");
  const { code, stdout } = await lived.gate.run(
    "verify",
    copy.ledger,
    "--trust",
    lived.fingerprint,
    "--json",
  );
  expect(code).toBe(11);
  expect(JSON.parse(stdout)).toMatchObject({
    verdict: "damaged",
    trusted: false,
    first_damage: { kind: "trust" },
  });
});

test("the gate does not go on with a log whose keys are not its own", () => {
  const copy = lived.copy();
  copyFileSync(other.copy().ledger, copy.ledger);
  const { code, stderr } = startOn(copy);
  expect(code).toBe(1);
  expect(JSON.parse(stderr).error.message).toContain("cannot read the key file");
});
