import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { judge, payloadOf, rewrite, rewriteRows } from "../ledger/forge.ts";
import { type LivedLedger, liveALittle, startOn } from "../ledger/lived-ledger.ts";

let lived: LivedLedger;
let keys: string;
let last: number;
beforeAll(async () => {
  lived = await liveALittle();
  keys = join(lived.gate.dir, "keys");
  last = lived.rows.length - 1;
});
afterAll(() => lived[Symbol.asyncDispose]());

/** The log with one payload in another form, signed again with the real keys, every link right. */
const judgeEdited = (at: number, edit: (text: string) => string) =>
  judge(
    rewriteRows(lived.rows, { keys, edit: (text, seq) => (seq === at ? edit(text) : text) }),
    lived.fingerprint,
  );

const V = /,"v":1(?=[,}])/;
const FORMS: Readonly<Record<string, (text: string) => string>> = {
  "an unknown member": (text) => text.replace(/\}$/, ',"zz":1}'),
  "a member given twice": (text) => text.replace(V, ',"v":1,"v":1'),
  "a member given twice with another value first": (text) => text.replace(V, ',"v":2,"v":1'),
  "members in another order": (text) => text.replace(V, "").replace("{", '{"v":1,'),
  "a missing member": (text) => text.replace(V, ""),
  "a blank between tokens": (text) => text.replace(V, ',"v": 1'),
  "a number in another spelling": (text) => text.replace(V, ',"v":1.0'),
  "a character as an escape": (text) => text.replace('"type":"', '"\\u0074ype":"'),
  "text after the object": (text) => `${text}\n`,
  "a byte order mark": (text) => `\ufeff${text}`,
  "a list in place of an object": (text) => `[${text}]`,
  "an unknown type": (text) => text.replace(/"type":"[a-z.]+"/, '"type":"gate.paused"'),
  "a version below the first": (text) => text.replace(V, ',"v":0'),
};

test("a log that is only signed and linked anew stands: below, the form alone is wrong", () => {
  for (let at = 1; at <= last; at++)
    expect(
      judgeEdited(at, (text) => text.replace(/"time":"[^"]+"/, '"time":"2020-01-01T00:00:00.000Z"')),
    ).toMatchObject({
      damage: { projection: 1 },
    });
});

describe.each(Object.entries(FORMS))("%s in a signed body", (_, edit) => {
  test("is found by verify wherever it stands", () => {
    for (let at = 1; at <= last; at++) {
      const report = judgeEdited(at, edit);
      expect(report).toMatchObject({ verdict: "damaged", first_damage: { kind: "entry", seq: at } });
      expect([10, 11]).toContain(report.exit_code);
    }
  });

  test("keeps the gate from starting on it", () => {
    const copy = lived.copy();
    rewrite(copy.ledger, { edit: (text, seq) => (seq === last ? edit(text) : text), keys });
    const { code, stderr } = startOn(copy);
    expect({ code, error: JSON.parse(stderr) }).toMatchObject({
      code: 1,
      error: { ok: false, error: { code: "ledger_damaged" } },
    });
  });
});

test("an unknown member is found inside every object that a body holds", () => {
  let tried = 0;
  for (const [at, row] of lived.rows.entries()) {
    if (at === 0) continue;
    for (const path of objectsIn(payloadOf(row))) {
      tried++;
      const report = judgeEdited(at, (text) => {
        const body = JSON.parse(text) as Record<string, unknown>;
        const target = path.reduce<Record<string, unknown>>(
          (o, step) => o[step] as Record<string, unknown>,
          body,
        );
        target.zz = 1;
        return canonicalJson(body as never); // parsed from json
      });
      expect(report.first_damage).toMatchObject({ kind: "entry", seq: at });
    }
  }
  expect(tried).toBeGreaterThan(20);
});

function objectsIn(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  const below = Object.entries(value).flatMap(([name, member]) => objectsIn(member, [...path, name]));
  return Array.isArray(value) || path.length === 0 ? below : [[...path], ...below];
}

test("a version that is not known is named as such, and only when it is signed", () => {
  const edit = (text: string) => text.replace(V, ',"v":2');
  expect(judgeEdited(last, edit)).toMatchObject({ verdict: "unsupported", exit_code: 1 });
  const unsigned = rewriteRows(lived.rows, {
    keys: null,
    edit: (text, seq) => (seq === last ? edit(text) : text),
  });
  expect(judge(unsigned, lived.fingerprint)).toMatchObject({
    verdict: "damaged",
    first_damage: { kind: "signature", seq: last },
  });
});
