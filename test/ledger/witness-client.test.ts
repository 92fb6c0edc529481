/** The client of witnesses against a witness of the tests' own, honest and not. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync } from "node:crypto";
import { readVkey } from "../../src/ledger/anchor/cosignature.ts";
import { askWitness, type Witness, type WitnessAnswer } from "../../src/ledger/anchor/witness-client.ts";
import { signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { consistencyProof } from "../../src/ledger/proof/consistency.ts";
import { CompactTree } from "../../src/ledger/tree.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { startWitness, WitnessIdentity, type WitnessServer } from "./witness-server.ts";

const ORIGIN = "latchgate/test";
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
const now = () => Math.floor(Date.now() / 1000);

/** A log of leaves named by `branch`, so that two branches fork from the first leaf. */
class TestLog {
  private readonly nodes = new Map<string, Uint8Array>();
  private readonly roots: Buffer[] = [];

  constructor(branch: string, size: number, shared = 0) {
    const tree = new CompactTree();
    this.roots.push(tree.root());
    for (let i = 0; i < size; i++) {
      const leaf = createHash("sha256")
        .update(`${i < shared ? "" : branch} ${i}`)
        .digest();
      this.nodes.set(`0 ${i}`, leaf);
      for (const { level, index, hash } of tree.push(leaf)) this.nodes.set(`${level} ${index}`, hash);
      this.roots.push(tree.root());
    }
  }

  root(size: number): Buffer {
    return this.roots[size] ?? Buffer.alloc(0);
  }

  note(size: number): string {
    return signCheckpoint({ origin: ORIGIN, size, root: this.root(size) }, privateKey, raw);
  }

  proof = (newer: number) => (older: number) =>
    consistencyProof(older, newer, (level, index) => this.nodes.get(`${level} ${index}`) ?? Buffer.alloc(32));
}

let server: WitnessServer;
let witness: Witness;
beforeEach(() => {
  server = startWitness({ logKey: (origin) => (origin === ORIGIN ? raw : null) });
  witness = witnessOf(server.identity.vkey, server.url);
});
afterEach(() => server[Symbol.asyncDispose]());

function witnessOf(vkey: string, url: string, ca: string | null = null): Witness {
  const key = readVkey(vkey);
  if (key === null) throw new Error("the server's own key is not admitted");
  return { key, url, ca };
}

const ask = (log: TestLog, size: number, oldSize: number, to = witness): Promise<WitnessAnswer> =>
  askWitness(to, { note: log.note(size), oldSize, proof: log.proof(size), timeoutMs: 5_000, now: now() });
const code = (answer: WitnessAnswer) => (answer.kind === "refused" ? answer.code : answer.kind);

test("it cosigns each checkpoint that extends the last", async () => {
  const log = new TestLog("a", 70);
  let old = 0;
  for (const size of [1, 2, 7, 8, 9, 33, 64, 70]) {
    const answer = await ask(log, size, old);
    expect(answer).toMatchObject({ kind: "cosigned", cosignature: { witness: "witness.example/w1" } });
    old = size;
  }
  expect(server.seen.map(({ status }) => status)).toEqual(Array(8).fill(200));
});

test("who does not know what the witness has asks with another size, and is told", async () => {
  const log = new TestLog("a", 40);
  await ask(log, 13, 0);
  expect(code(await ask(log, 40, 0))).toBe("cosigned");
  expect(code(await ask(log, 40, 40))).toBe("cosigned");
  // The answer got lost: the witness has it already.
  expect(code(await ask(log, 40, 13))).toBe("cosigned");
  expect(server.seen.map(({ old, status }) => [old, status])).toEqual([
    [0, 200],
    [0, 409],
    [13, 200],
    [40, 200],
    [13, 409],
    [40, 200],
  ]);
});

test("over tls, with the authority that is configured and no other", async () => {
  const authority = makeAuthority("Witness Test CA");
  const identity = issue(authority, { addresses: ["127.0.0.1"] });
  await using secure = startWitness({ logKey: () => raw, tls: identity });
  const log = new TestLog("a", 5);
  const known = witnessOf(secure.identity.vkey, secure.url, authority.certificate);
  expect(code(await ask(log, 5, 0, known))).toBe("cosigned");
  for (const ca of [null, makeAuthority("Witness Test CA").certificate])
    expect(code(await ask(log, 5, 0, { ...known, ca }))).toBe("witness_unreachable");
});

describe("a fork", () => {
  test("is not cosigned, whatever old size the client names", async () => {
    const [log, fork] = [new TestLog("a", 50), new TestLog("b", 50, 10)];
    await ask(log, 20, 0);
    for (const old of [0, 10, 20]) expect(code(await ask(fork, 50, old))).toBe("witness_refused");
    expect(server.seen.at(-1)?.status).toBe(422);
    expect(code(await ask(fork, 20, 20))).toBe("witness_conflict");
    expect(server.size()).toBe(20);
  });

  test("a log that was rolled back hears that the witness is ahead", async () => {
    const log = new TestLog("a", 50);
    await ask(log, 40, 0);
    for (const old of [0, 20]) expect(code(await ask(log, 30, old))).toBe("witness_ahead");
  });

  test("a log of another key, or that is not known, is not cosigned", async () => {
    const other = generateKeyPairSync("ed25519").privateKey;
    const note = signCheckpoint({ origin: ORIGIN, size: 1, root: Buffer.alloc(32) }, other, raw);
    const submission = { oldSize: 0, proof: () => [], timeoutMs: 5_000, now: now() };
    expect(await askWitness(witness, { note, ...submission })).toMatchObject({
      code: "witness_refused",
      detail: "it answered 403",
    });
    const elsewhere = signCheckpoint({ origin: "x", size: 1, root: Buffer.alloc(32) }, privateKey, raw);
    expect(await askWitness(witness, { note: elsewhere, ...submission })).toMatchObject({
      detail: "it answered 404",
    });
  });
});

describe("a witness that lies is not believed", () => {
  const log = new TestLog("a", 30);
  const twin = () => new WitnessIdentity("witness.example/w1");
  const lines: readonly (readonly [string, (text: string) => string | undefined])[] = [
    ["another key under its name", (text) => twin().cosign(text)],
    [
      "another key under its name and key id",
      (text) => withId(twin().cosign(text), server.identity.cosign(text)),
    ],
    ["its key under another name", (text) => server.identity.cosign(text).replace("/w1", "/w2")],
    ["an older checkpoint", () => server.identity.cosign(log.note(12).split("\n\n")[0]?.concat("\n") ?? "")],
    ["another root", (text) => server.identity.cosign(text.replace(/\n[^\n]+\n$/, `\n${"A".repeat(43)}=\n`))],
    ["the text without its last line end", (text) => server.identity.cosign(text.slice(0, -1))],
    ["a time to come", (text) => server.identity.cosign(text, now() + 3600)],
    ["another time than the one it signed", (text) => shifted(server.identity.cosign(text))],
    ["a signature without a time", (text) => shortened(server.identity.cosign(text))],
    ["nothing", () => ""],
    ["a size", () => "30\n"],
    ["a hyphen for the dash", (text) => server.identity.cosign(text).replace("—", "-")],
    ["what the client sent", (text) => log.note(30).slice(text.length)],
  ];
  test.each(lines)("who cosigns with %s", async (_, line) => {
    server.misbehave((text) => new Response(line(text)));
    expect(code(await ask(log, 30, 0))).toBe("witness_unverified");
  });

  test("though a line that holds counts among others that do not", async () => {
    server.misbehave(
      (text) =>
        new Response(
          twin().cosign(text) + new WitnessIdentity("x").cosign(text) + server.identity.cosign(text),
        ),
    );
    expect(code(await ask(log, 30, 0))).toBe("cosigned");
  });

  test("one flipped bit of the line", async () => {
    for (let bit = 0; bit < 76 * 8; bit += 7) {
      server.misbehave((text) => {
        const line = server.identity.cosign(text);
        const blob = blobOf(line);
        blob[bit >> 3] = (blob[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return new Response(line.replace(/ [^ ]+\n$/, ` ${blob.toString("base64")}\n`));
      });
      expect(code(await ask(log, 30, 0))).toBe("witness_unverified");
    }
  });

  test.each([
    ["a size that it does not keep to", () => conflict(`${server.seen.length + 1}\n`), "witness_conflict"],
    ["the size that it was asked with", () => conflict("0\n"), "witness_conflict"],
    ["a size that is none", () => conflict("-1\n"), "witness_conflict"],
    ["a size without its type", () => new Response("3\n", { status: 409 }), "witness_conflict"],
    ["a size beyond the log", () => conflict("31\n"), "witness_ahead"],
    ["a redirect", () => Response.redirect("http://127.0.0.1:1/w/add-checkpoint", 307), "witness_refused"],
    ["an endless answer", () => new Response("x".repeat(20_000)), "witness_unreachable"],
    ["a failure", () => new Response("", { status: 500 }), "witness_refused"],
  ] as const)("who answers with %s", async (_, answer, expected) => {
    server.misbehave(answer);
    expect(code(await ask(log, 30, 0))).toBe(expected);
    expect(server.seen.length).toBeLessThanOrEqual(2);
  });

  test("who does not answer in time, or is not there", async () => {
    server.misbehave(() => new Promise<Response>(() => undefined));
    const submission = { note: log.note(3), oldSize: 0, proof: log.proof(3), timeoutMs: 100, now: now() };
    expect(code(await askWitness(witness, submission))).toBe("witness_unreachable");
    await server[Symbol.asyncDispose]();
    expect(code(await askWitness(witness, submission))).toBe("witness_unreachable");
  });
});

const blobOf = (line: string) => Buffer.from(line.trimEnd().split(" ").at(-1) ?? "", "base64");
const withBlob = (line: string, blob: Buffer) => line.replace(/ [^ ]+\n$/, ` ${blob.toString("base64")}\n`);

function withId(line: string, from: string): string {
  return withBlob(line, Buffer.concat([blobOf(from).subarray(0, 4), blobOf(line).subarray(4)]));
}

function shifted(line: string): string {
  const blob = blobOf(line);
  blob.writeBigUInt64BE(blob.readBigUInt64BE(4) - 1n, 4);
  return withBlob(line, blob);
}

function shortened(line: string): string {
  const blob = blobOf(line);
  return withBlob(line, Buffer.concat([blob.subarray(0, 4), blob.subarray(12)]));
}

function conflict(size: string): Response {
  return new Response(size, { status: 409, headers: { "content-type": "text/x.tlog.size" } });
}

describe("a verifier key", () => {
  const { vkey } = new WitnessIdentity("witness.example/w1");
  const [name = "", id = "", key = ""] = vkey.split("+").length === 3 ? vkey.split("+") : splitKey(vkey);
  const typed = (type: number) =>
    Buffer.concat([Buffer.of(type), Buffer.from(key, "base64").subarray(1)]).toString("base64");
  test.each([
    ["another name", `other+${id}+${key}`],
    ["another key id", `${name}+00000000+${key}`],
    ["that of a log, type 0x01", `${name}+${id}+${typed(1)}`],
    ["a key of small order", smallOrder(name)],
    ["no name", `+${id}+${key}`],
    ["a blank in the name", `a b+${id}+${key}`],
    ["nothing", ""],
  ])("is refused with %s", (_, text) => expect(readVkey(text)).toBeNull());

  test("is read", () => expect(readVkey(vkey)?.name).toBe("witness.example/w1"));
});

/** Base64 may have a plus of its own. */
function splitKey(vkey: string): string[] {
  const [name = "", id = "", ...rest] = vkey.split("+");
  return [name, id, rest.join("+")];
}

function smallOrder(name: string): string {
  const typed = Buffer.alloc(33);
  typed[0] = 4;
  typed[1] = 1; // the neutral element
  const id = createHash("sha256").update(`${name}\n`).update(typed).digest().subarray(0, 4).toString("hex");
  return `${name}+${id}+${typed.toString("base64")}`;
}
