import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { unlock, withFreshKey, withoutSecret, withSecret } from "../../src/secrets/edit.ts";
import {
  edited,
  FORMATS,
  IDENTITY,
  madeFile,
  principal,
  RECIPIENT,
  SHARED,
  seen,
  tenant,
} from "./secrets-files.ts";

const RUNS = { numRuns: 25, seed: 20260123 };

const value = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }),
  fc.constantFrom(
    "\n",
    "a\nb\n",
    "\\n",
    "#",
    "ENC[AES256_GCM,x]",
    "017",
    "true",
    "null",
    " lead",
    "trail ",
    '"',
    "'",
    "\t",
  ),
);
const text = value.map((chars) => chars.replaceAll("\0", "x")).filter((chars) => chars.isWellFormed());
// Few names, so that steps meet.
const name = fc.constantFrom("A", "B_1", "C".repeat(64));
const tenantName = fc.constantFrom("default", "acme", "no", "10", "~", "a b", "-x", "é", "a#b");
const principalName = fc.constantFrom(
  "uid:1000",
  "oidc:https://issuer.example:sub",
  "agent:bot",
  "2001-02-03",
  '"q"',
);
const owner = fc.oneof(
  fc.constant(SHARED),
  tenantName.map(tenant),
  fc.tuple(tenantName, principalName).map(([of, who]) => principal(of, who)),
);

describe.each(FORMATS)("a %s file", (ending) => {
  const owners = ending === "env" ? fc.constant(SHARED) : owner;
  const step = fc.record({ owner: owners, name, value: fc.option(text) });

  test.each(ending === "env" ? [SHARED] : [SHARED, tenant("acme"), principal("acme", "uid:1")])(
    "takes a value again after it was removed, for %j",
    async (who) => {
      const path = `secrets.${ending}`;
      const given = { owner: who, name: "AGAIN", value: "first" };
      for (const others of [[], [{ owner: SHARED, name: "OTHER", value: "other" }]]) {
        const before = await madeFile(path, others);
        const file = await edited(
          path,
          await madeFile(path, [...others, given]),
          (unlocked) => withoutSecret(unlocked, who, "AGAIN", 0) ?? "",
        );
        expect(await seen(path, file)).toEqual(await seen(path, before));
        const back = await edited(path, file, (unlocked) =>
          withSecret(unlocked, who, "AGAIN", Buffer.from("second"), 0),
        );
        expect(Object.values(await seen(path, back))).toContain("second");
      }
    },
  );

  test("holds what was set and not what was removed, whatever the order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 10 }), async (steps) => {
        const path = `secrets.${ending}`;
        let file = await madeFile(path, []);
        const model: Record<string, string> = {};
        for (const { owner: who, name: what, value: given } of steps) {
          const key = [who.tenant ?? "*", who.principal ?? "*", what].join("/");
          const unlocked = await unlock(path, file, [IDENTITY]);
          if (given === null) {
            const shorter = withoutSecret(unlocked, who, what, 0);
            expect(shorter === null).toBe(model[key] === undefined);
            file = shorter ?? file;
            delete model[key];
          } else {
            file = withSecret(unlocked, who, what, Buffer.from(given, "utf8"), 0);
            model[key] = given;
          }
        }
        expect(await seen(path, file)).toEqual(model);
        const rotated = await edited(path, file, (unlocked) => withFreshKey(unlocked, [RECIPIENT], 0));
        expect(await seen(path, rotated)).toEqual(model);
      }),
      RUNS,
    );
  });
});
