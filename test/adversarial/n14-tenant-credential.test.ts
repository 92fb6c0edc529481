/** N14: tenant A's, or principal A's, credential never serves B. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import { LatchGateError } from "../../src/core/errors.ts";
import { fixedIdentities } from "../../src/secrets/identity.ts";
import { createSecretSource, type OwnedSecretSource } from "../../src/secrets/source.ts";
import {
  type Given,
  IDENTITY,
  madeFile,
  principal,
  SHARED,
  scratch,
  tenant,
} from "../secrets/secrets-files.ts";

const SECRETS: readonly Given[] = [
  { owner: SHARED, name: "EVERYBODYS", value: "shared" },
  { owner: SHARED, name: "LAYERED", value: "shared" },
  { owner: tenant("a"), name: "LAYERED", value: "a" },
  { owner: tenant("a"), name: "TENANTS", value: "a" },
  { owner: principal("a", "uid:1"), name: "LAYERED", value: "a uid:1" },
  { owner: principal("a", "uid:1"), name: "OWN", value: "a uid:1" },
  { owner: tenant("b"), name: "TENANTS", value: "b" },
  // The same principal's name in another tenant is another principal.
  { owner: principal("b", "uid:1"), name: "OWN", value: "b uid:1" },
];

let source: OwnedSecretSource;
const folder = scratch();
beforeAll(async () => {
  const file = folder.write("secrets.yaml", await madeFile("secrets.yaml", SECRETS));
  source = createSecretSource({ file, identity: fixedIdentities([IDENTITY]), timeLimitMs: 60_000 });
});
afterAll(() => {
  source.close();
  folder[Symbol.dispose]();
});

/** The value that a caller gets; null where there is none for it. */
async function served(name: string, of: string, who: string): Promise<string | null> {
  try {
    const open = await source.open({
      names: [name],
      tenant: of,
      principal: who,
      signal: AbortSignal.timeout(60_000),
    });
    const value = Buffer.from(open.bytes(name)).toString();
    open.release();
    return value;
  } catch (error) {
    if (error instanceof LatchGateError && error.code === "secret_missing") return null;
    throw error;
  }
}

test.each([
  ["EVERYBODYS", "a", "uid:1", "shared"],
  ["EVERYBODYS", "c", "uid:9", "shared"],
  ["LAYERED", "a", "uid:1", "a uid:1"],
  ["LAYERED", "a", "uid:2", "a"],
  ["LAYERED", "b", "uid:1", "shared"],
  ["TENANTS", "a", "uid:2", "a"],
  ["TENANTS", "b", "uid:1", "b"],
  ["TENANTS", "c", "uid:1", null],
  ["OWN", "a", "uid:1", "a uid:1"],
  ["OWN", "b", "uid:1", "b uid:1"],
  ["OWN", "a", "uid:2", null],
  ["OWN", "c", "uid:1", null],
] as const)("%s of tenant %s, principal %s, is %p", async (name, of, who, value) => {
  expect(await served(name, of, who)).toBe(value);
});

test("no name of a caller, however it is made, reaches a credential that is not its own", async () => {
  const word = fc.constantFrom(
    "a",
    "b",
    "uid:1",
    "principals",
    "tenants",
    "a:principals:uid:1",
    "a/uid:1",
    '"],["a"',
    "*",
    "",
    "null",
    "__proto__",
    "constructor",
    "A",
    "a ",
    "a\0",
    "tenants:a",
  );
  const anything = fc.oneof(word, fc.string({ maxLength: 12 }));
  const names = fc.constantFrom("EVERYBODYS", "LAYERED", "TENANTS", "OWN");
  await fc.assert(
    fc.asyncProperty(names, anything, anything, async (name, of, who) => {
      const allowed = SECRETS.filter(
        ({ owner }) =>
          owner.tenant === null || (owner.tenant === of && [null, who].includes(owner.principal)),
      );
      const value = await served(name, of, who);
      if (value !== null)
        expect(allowed.filter((given) => given.name === name).map((given) => given.value)).toContain(value);
    }),
    { numRuns: 1000, seed: 14 },
  );
});
