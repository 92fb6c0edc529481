/** Each check of a revocation alone: the recovery key has signed what stands beside it, or something else. */
import { afterEach, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { possessionMessage } from "../../src/keys/history.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { type RevocationClaims, signRevocation } from "../../src/keys/revocation-statement.ts";
import { parseCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { PreparedRevocation } from "../../src/ledger/revoker.ts";
import { judge, payloadOf, readRows, rewriteRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

type Body = Record<string, unknown>;
type Purpose = "evidence" | "checkpoint" | "lease";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});

const keyOf = (log: ScratchLog, purpose: Purpose | "recovery"): KeyObject =>
  readKeyFile(
    join(log.keys, `${purpose}-${log.writer.keys.current(purpose).kid}.pem`),
    purpose === "lease" ? "p256" : "ed25519",
  );

interface Made {
  readonly purpose?: Purpose;
  /** What the recovery key signs in place of what the entry says. */
  readonly claims?: Partial<RevocationClaims>;
  readonly statement?: (claims: RevocationClaims, log: ScratchLog) => string;
  /** The entry, and whatever of it the recovery key then signs. */
  readonly body?: (body: Body, log: ScratchLog) => unknown;
}

/** A log whose last entry revokes a key, changed and signed anew by the key that may sign it. */
async function revoked({ purpose = "checkpoint", claims = {}, statement, body = () => undefined }: Made) {
  const log = scratchLog();
  logs.push(log);
  await log.writer.run([task("stop", "a"), task("stop", "b")]);
  const noted = parseCheckpoint(log.writer.checkpoint())?.checkpoint;
  const at = { size: noted?.size ?? 0, root: noted?.root.toString("hex") ?? "" };
  await log.writer.run([task("stop", "c")]);
  const first = log.writer.keys.current("evidence").kid;
  const { kid } = log.writer.keys.current(purpose);
  const [prepared] = await log.writer.run([task("prepareRevocation", { kid, ...at })]);
  const recovery = keyOf(log, "recovery");
  const honest = { ...(prepared as PreparedRevocation), kid, ...at, time: "2026-01-01T00:00:00.000Z" };
  await log.writer.run([task("revoke", signRevocation(honest, recovery))]);
  const rows = readRows(log.ledger);
  const last = rows.length - 1;
  const changed = rewriteRows(rows, {
    keys: log.keys,
    edit: (text, seq) => {
      if (seq !== last) return text;
      const payload = JSON.parse(text) as Body;
      body(payload, log);
      const { log: id, kid, size, root } = payload;
      const successor = (payload.successor as { readonly kid: string } | null)?.kid ?? null;
      const said = { log: id, purpose, kid, size, root, successor, time: honest.time, ...claims };
      const made = statement ?? ((claims) => signRevocation(claims, recovery));
      payload.statement = made(said as RevocationClaims, log);
      return canonicalJson(payload as never); // parsed from json
    },
  });
  const report = judge(changed, first);
  log.abandon();
  return { last, report };
}

test.each(["evidence", "checkpoint", "lease"] as const)(
  "as it was made, one of the %s key is none of damage",
  async (purpose) => {
    expect((await revoked({ purpose })).report).toMatchObject({
      exit_code: purpose === "evidence" ? 15 : 0,
      damage: purpose === "evidence" ? { repudiated: 1 } : {},
    });
  },
);

const OTHER = "B".repeat(43);
const ELSE = "01a205ba-0000-7000-8000-000000000000";
const encode = (text: string) => Buffer.from(text).toString("base64url");
/** Claims under any header and with anything beside them, by the recovery key. */
const signedAs =
  (typ: string, more: Body = {}) =>
  (claims: RevocationClaims, log: ScratchLog): string => {
    const key = keyOf(log, "recovery");
    const kid = thumbprint(publicJwk(key));
    const text = canonicalJson({ v: 1, ...claims, ...more } as never); // of texts and numbers
    const input = `${encode(`{"alg":"EdDSA","kid":"${kid}","typ":"${typ}"}`)}.${encode(text)}`;
    return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
  };

const UNSIGNED = "the revocation is not signed by the recovery key";
const FOREIGN = "the revocation is not what the recovery key has signed";
const UNASKED = "the successor has not asked to take over";
const STRAY = "the revocation does not follow from the key history";
const BROKEN: readonly (readonly [what: string, made: Made, detail: string])[] = [
  ["a statement of another log", { claims: { log: ELSE } }, FOREIGN],
  ["a statement of another purpose", { claims: { purpose: "lease" } }, FOREIGN],
  ["a statement of another key", { claims: { kid: OTHER } }, FOREIGN],
  ["a statement of another size", { claims: { size: 2 } }, FOREIGN],
  ["a statement of another root", { claims: { root: "0".repeat(64) } }, FOREIGN],
  ["a statement of another successor", { claims: { successor: OTHER } }, FOREIGN],
  ["a statement of no successor", { claims: { successor: null } }, FOREIGN],
  [
    "a statement by the evidence key",
    { statement: (claims, log) => signRevocation(claims, keyOf(log, "evidence")) },
    UNSIGNED,
  ],
  ["a statement that was signed as an entry", { statement: signedAs("latchgate-entry+jws") }, UNSIGNED],
  [
    "a statement with more in it",
    { statement: signedAs("latchgate-key-revocation+jws", { more: 1 }) },
    UNSIGNED,
  ],
  [
    "a statement of four parts",
    { statement: (claims, log) => `${signRevocation(claims, keyOf(log, "recovery"))}.AAAA` },
    UNSIGNED,
  ],
  ["a key that the log does not know", { body: (body) => Object.assign(body, { kid: OTHER }) }, STRAY],
  ["a tree of no entries", { body: (body) => Object.assign(body, { size: 0, consistency: [] }) }, STRAY],
  [
    "a key in force that nobody takes over from",
    { body: (body) => Object.assign(body, { successor: null }) },
    STRAY,
  ],
  [
    "another history than the log's",
    { body: (body) => Object.assign(body, { root: "0".repeat(64) }) },
    "the revocation names another history",
  ],
  [
    "a proof of another history",
    { body: (body) => Object.assign(body, { consistency: [] }) },
    "the revocation names another history",
  ],
  [
    "a successor under another name than its own",
    {
      body: (body, log) => {
        const { privateKey, publicKey } = generateKeyPairSync("ed25519");
        const message = possessionMessage(log.writer.logId, Number(body.seq), OTHER);
        const possession = sign(null, message, privateKey).toString("base64url");
        return Object.assign(body, { successor: { jwk: publicJwk(publicKey), kid: OTHER, possession } });
      },
    },
    UNASKED,
  ],
  ...(["checkpoint", "lease"] as const).map(
    (purpose) =>
      [
        `a ${purpose} successor that nobody holds`,
        {
          purpose,
          body: (body: Body) => Object.assign(body.successor as Body, { possession: "A".repeat(86) }),
        },
        UNASKED,
      ] as const,
  ),
];
test.each(BROKEN)("found, though all else is right: %s", async (_, made, detail) => {
  const { last, report } = await revoked(made);
  expect(report).toMatchObject({
    ...{ verdict: "damaged", exit_code: 11, damage: { key: 1 } },
    first_damage: { kind: "key", seq: last, detail },
  });
});

test("found: the end of the evidence key, told by that key itself", async () => {
  const log = scratchLog();
  logs.push(log);
  await log.writer.run([task("stop", "a")]);
  const noted = parseCheckpoint(log.writer.checkpoint())?.checkpoint;
  const at = { size: noted?.size ?? 0, root: noted?.root.toString("hex") ?? "" };
  const { kid } = log.writer.keys.current("evidence");
  const stolen = keyOf(log, "evidence");
  const [prepared] = await log.writer.run([task("prepareRevocation", { kid, ...at })]);
  const claims = { ...(prepared as PreparedRevocation), kid, ...at, time: "2026-01-01T00:00:00.000Z" };
  await log.writer.run([task("revoke", signRevocation(claims, keyOf(log, "recovery")))]);
  const rows = readRows(log.ledger);
  const entry = rows.at(-1) ?? expect.unreachable("no entry");
  const header = entry.jws.split(".")[0] ?? "";
  const own = encode(
    Buffer.from(header, "base64url")
      .toString()
      .replace(/"kid":"[^"]*"/, `"kid":"${kid}"`),
  );
  const input = `${own}.${entry.jws.split(".")[1]}`;
  const jws = `${input}.${sign(null, Buffer.from(input), stolen).toString("base64url")}`;
  expect(payloadOf({ jws }).type).toBe("key.revoked");
  expect(judge([...rows.slice(0, -1), { ...entry, jws }], kid).first_damage).toMatchObject({
    kind: "key",
    detail: "the revocation is not signed by the key that takes over",
  });
  log.abandon();
});

test("a key that is revoked from before it came in takes nothing of others with it", async () => {
  const log = scratchLog();
  logs.push(log);
  await log.writer.run([task("stop", "a")]);
  const noted = parseCheckpoint(log.writer.checkpoint())?.checkpoint;
  const at = { size: noted?.size ?? 0, root: noted?.root.toString("hex") ?? "" };
  await log.writer.run([task("stop", "b"), task("rotate", "evidence"), task("stop", "c")]);
  const first = log.writer.keys.all()[0]?.kid ?? "";
  const { kid, validFromSeq } = log.writer.keys.current("evidence");
  const [prepared] = await log.writer.run([task("prepareRevocation", { kid, ...at })]);
  const claims = { ...(prepared as PreparedRevocation), kid, ...at, time: "2026-01-01T00:00:00.000Z" };
  await log.writer.run([task("revoke", signRevocation(claims, keyOf(log, "recovery")))]);
  expect(judge(readRows(log.ledger), first)).toMatchObject({
    exit_code: 15,
    repudiated_ranges: [{ kid, from: validFromSeq, to: validFromSeq }],
    repudiated: 1,
  });
  log.abandon();
});
