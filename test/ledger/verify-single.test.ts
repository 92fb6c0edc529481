/** Each check of an entry or a proof that stands alone, with all else of it right. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { fromBase64url } from "../../src/core/bytes.ts";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { readKeyFile } from "../../src/keys/key-file.ts";
import { type Checkpoint, checkpointOrigin, signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { formatProof } from "../../src/ledger/proof/tlog-proof.ts";
import { nodeHash } from "../../src/ledger/tree.ts";
import { type Anchor, parseAnchor } from "../../src/ledger/verify/anchors.ts";
import { verifyEntry, verifyProof } from "../../src/ledger/verify/single.ts";
import { readTrust, type Trust, type TrustedKey } from "../../src/ledger/verify/trust.ts";
import { leafOf, payloadText, readRows, resign } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

let log: ScratchLog;
let entries: readonly string[];
let logId: string;
let keys: { readonly evidence: TrustedKey; readonly checkpoint: TrustedKey };
beforeAll(async () => {
  log = scratchLog();
  await log.writer.run([task("stop", "a")]);
  logId = log.writer.logId;
  keys = { evidence: named("evidence"), checkpoint: named("checkpoint") };
  log.writer.close();
  entries = readRows(log.ledger).map(({ jws }) => jws);
});
afterAll(() => log.remove());

type Signer = keyof typeof keys;
const privateKey = (of: Signer) =>
  readKeyFile(join(log.keys, `${of}-${log.writer.keys.current(of).kid}.pem`), "ed25519");
function named(purpose: Signer): TrustedKey {
  const jwk = publicJwk(privateKey(purpose)) as TrustedKey["jwk"]; // an ed25519 key
  return { kid: thumbprint(jwk), jwk, purpose };
}
const trusting = (...trusted: readonly TrustedKey[]): Trust => ({
  fingerprints: new Set(trusted.map(({ kid }) => kid)),
  keys: trusted,
});
const both = () => trusting(keys.evidence, keys.checkpoint);

const [SECOND, NOBODY] = [1, { ...readTrust(undefined) }];
const second = () => entries[SECOND] ?? "";
/** The proof of an entry in the tree of two, by a checkpoint that one of the log's keys has signed. */
function proof(jws = second(), change: Partial<Checkpoint> = {}, by: Signer = "checkpoint"): string {
  const [first] = entries;
  const path = [leafOf(first ?? "")];
  const root = nodeHash(path[0] ?? Buffer.of(), leafOf(jws));
  const key = privateKey(by);
  const raw = fromBase64url(publicJwk(key).x) ?? Buffer.of();
  const note = signCheckpoint({ origin: checkpointOrigin(logId), size: 2, root, ...change }, key, raw);
  return formatProof({ jws, index: SECOND, path, note });
}
const rootOf = (jws: string) => nodeHash(leafOf(entries[0] ?? ""), leafOf(jws));
const anchor = (size: number, root: Buffer): Anchor =>
  parseAnchor(`${size} ${root.toString("hex")}`) ?? expect.unreachable("no anchor");
/** The second entry with another payload, signed by the real key. */
const signedAnew = (edit: (text: string) => string) =>
  resign(second().split(".")[0] ?? "", edit(payloadText(second())), log.keys);

describe("a proof", () => {
  test("with the keys that signed it is intact; without any it is consistent", () => {
    const report = verifyProof(proof(), both(), []);
    expect(report).toMatchObject({ verdict: "intact", trusted: true, seq: SECOND, checkpoint: { size: 2 } });
    expect(verifyProof(proof(), NOBODY, [])).toMatchObject({ verdict: "consistent", trusted: false });
  });

  const moved = () => signedAnew((text) => text.replace('"seq":1', '"seq":7'));
  const OTHER = checkpointOrigin("01a205ba-0000-7000-8000-000000000000");
  test.each([
    ["of an entry that says another position", () => verifyProof(proof(moved()), both(), []), 10, "chain"],
    [
      "by a checkpoint of another log",
      () => verifyProof(proof(second(), { origin: OTHER }), both(), []),
      10,
      "chain",
    ],
    [
      "that is none",
      () => verifyProof(proof().replace("tlog-proof@v1", "tlog-proof@v2"), both(), []),
      10,
      "checkpoint",
    ],
    [
      "whose path leads to another root",
      () => verifyProof(proof(second(), { root: Buffer.alloc(32) }), both(), []),
      10,
      "checkpoint",
    ],
    [
      "whose checkpoint the evidence key signed",
      () => verifyProof(proof(second(), {}, "evidence"), both(), []),
      11,
      "trust",
    ],
    [
      "whose checkpoint nobody signed that is named",
      () => verifyProof(proof(), trusting(keys.evidence), []),
      11,
      "trust",
    ],
    [
      "whose entry the checkpoint key would have to have signed",
      () => verifyProof(proof(), trusting(keys.checkpoint), []),
      11,
      "trust",
    ],
    [
      "whose signed checkpoint contradicts an anchor",
      () => verifyProof(proof(), both(), [anchor(2, Buffer.alloc(32))]),
      12,
      "anchor",
    ],
    [
      "with an anchor of another size in the place of a signature",
      () => verifyProof(proof(), trusting(keys.evidence), [anchor(3, rootOf(second()))]),
      11,
      "trust",
    ],
  ] as const)("%s is damaged", (_, verdict, exit, kind) => {
    const { verdict: said, exit_code, trusted, anchored_to, first_damage } = verdict();
    expect({ said, exit_code, trusted, anchored_to, kind: first_damage?.kind }).toEqual({
      ...{ said: "damaged", exit_code: exit, trusted: false, anchored_to: null, kind },
    });
  });

  test("in a second spelling is none, though it reads as the first", () => {
    const [head = "", extra = "", ...rest] = proof().split("\n");
    const bytes = Buffer.from(extra.slice("extra ".length), "base64");
    bytes[9] = (bytes[9] ?? 0) | 0x80;
    for (const again of [
      [head, `extra ${bytes.toString("base64")}`, ...rest],
      [head, extra, ...rest.toSpliced(1, 0, "no hash")],
      [head, extra, ...rest.toSpliced(1, 0, "")],
      [head, extra, ...rest.with(0, "index 01")],
      [head, `${extra}=`, ...rest],
      [head, extra, ...rest.toSpliced(1, 0, ...Array<string>(64).fill(rest[1] ?? ""))],
    ])
      expect(verifyProof(again.join("\n"), both(), [])).toMatchObject({
        ...{ verdict: "damaged", exit_code: 10, first_damage: { kind: "checkpoint" } },
      });
  });

  test("is as good by an anchor as by the signature of a checkpoint key", () => {
    const report = verifyProof(proof(), trusting(keys.evidence), [anchor(2, rootOf(second()))]);
    expect(report).toMatchObject({ verdict: "intact", trusted: true, anchored_to: 2 });
    // An anchor says where the entry is, and not who signed it.
    const nobody = verifyProof(proof(), NOBODY, [anchor(2, rootOf(second()))]);
    expect(nobody).toMatchObject({ verdict: "consistent", trusted: false, anchored_to: 2 });
  });

  test("by a checkpoint that a trusted key signed says nothing of who signed an entry that nobody vouches for", () => {
    const unsigned = `${second().slice(0, second().lastIndexOf("."))}.${"A".repeat(86)}`;
    expect(verifyProof(proof(unsigned), both(), [])).toMatchObject({
      verdict: "damaged",
      exit_code: 11,
      first_damage: { kind: "signature" },
    });
  });
});

describe("an entry", () => {
  test("with the key that signed it is intact, by whatever name the set calls that key", () => {
    expect(verifyEntry(second(), trusting(keys.evidence))).toMatchObject({ verdict: "intact", exit_code: 0 });
    const unnamed = trusting({ ...keys.evidence, purpose: null });
    expect(verifyEntry(second(), unnamed)).toMatchObject({ verdict: "intact", exit_code: 0 });
  });

  test.each([
    ["that is none", () => verifyEntry("a.b.c", both()), "signature"],
    [
      "with another signature",
      () => verifyEntry(`${second().slice(0, -86)}${"A".repeat(86)}`, both()),
      "signature",
    ],
    ["by a key that nobody named", () => verifyEntry(second(), trusting(keys.checkpoint)), "trust"],
    [
      "by a key that is named for checkpoints",
      () => verifyEntry(second(), trusting({ ...keys.evidence, purpose: "checkpoint" })),
      "trust",
    ],
    [
      "in no form that an entry has, though it is signed",
      () =>
        verifyEntry(
          signedAnew((text) => text.replace("{", '{"a":1,')),
          both(),
        ),
      "entry",
    ],
  ] as const)("%s is damaged", (_, verdict, kind) => {
    expect(verdict()).toMatchObject({
      ...{ verdict: "damaged", exit_code: 11, trusted: false, first_damage: { kind } },
    });
  });

  test("of a later version is unsupported, and not damaged", () => {
    const later = signedAnew((text) => text.replace('"v":1}', '"v":2}'));
    expect(verifyEntry(later, both())).toMatchObject({ verdict: "unsupported", exit_code: 1 });
  });

  test("is not verified by a fingerprint, which is no key", () => {
    expect(() => verifyEntry(second(), { fingerprints: new Set([keys.evidence.kid]) })).toThrow(
      "the key itself",
    );
  });
});
