/** Tokens that were altered, and the reader of DER below them. */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { certificateDigest, isOf, tokenOver } from "../../src/ledger/anchor/timestamp/authority.ts";
import { readPem } from "../../src/ledger/anchor/timestamp/certificate.ts";
import {
  booleanOf,
  DerReader,
  integerOf,
  octetsOf,
  oidOf,
  TAG,
  timeOf,
} from "../../src/ledger/anchor/timestamp/der.ts";
import { readReply, timestampQuery } from "../../src/ledger/anchor/timestamp/query.ts";
import { readToken } from "../../src/ledger/anchor/timestamp/token.ts";
import { LedgerError } from "../../src/ledger/errors.ts";
import { oid, tagged } from "../certificates.ts";
import { requireTool } from "../require-tool.ts";
import { TestAuthority } from "./timestamp-server.ts";

const withOpenssl = requireTool("openssl", "apt-get install openssl");
const TEXT = `latchgate/test\n7\n${"A".repeat(43)}=\n`;
const SEED = 20_261_123;

const made: TestAuthority[] = [];
afterAll(() => {
  for (const one of made) one[Symbol.dispose]();
});

function stamped(...setup: ConstructorParameters<typeof TestAuthority>) {
  const authority = new TestAuthority(...setup);
  made.push(authority);
  const reply = readReply(authority.reply(timestampQuery(TEXT, 0x1234_5678_9abc_def0n, null)));
  if (reply.kind !== "granted") throw new Error("the authority does not stamp");
  return { token: reply.token, authority: { name: "tsa", trusted: readPem(authority.root), policy: null } };
}

for (const key of ["P-256", "rsa"] as const)
  withOpenssl(`each byte of a token, changed: it is not taken, with a key of ${key}`, () => {
    const { token, authority } = stamped({ key });
    const good = tokenOver(TEXT, token);
    expect(good !== null && isOf(authority, good)).toBe(true);
    for (let at = 0; at < token.length; at++)
      for (const flip of [0x01, 0x80]) {
        const altered = Buffer.from(token);
        altered[at] = (altered[at] ?? 0) ^ flip;
        const read = tokenOver(TEXT, altered);
        if (read !== null && isOf(authority, read)) throw new Error(`byte ${at} may be changed`);
      }
    expect(tokenOver(TEXT, Buffer.concat([token, Buffer.of(0)]))).toBeNull();
    for (let length = 0; length < token.length; length += 7)
      expect(tokenOver(TEXT, token.subarray(0, length))).toBeNull();
  });

withOpenssl("each byte of a token with a chain: not taken, or it says and proves the same", () => {
  const { token, authority } = stamped({ between: "basicConstraints = critical, CA:true" });
  const good = readToken(token);
  const harmless: number[] = [];
  for (let at = 0; at < token.length; at++) {
    const altered = Buffer.from(token);
    altered[at] = (altered[at] ?? 0) ^ 0x01;
    const read = tokenOver(TEXT, altered);
    if (read === null || !isOf(authority, read)) continue;
    harmless.push(at);
    expect([read.time, read.policy, read.nonce, certificateDigest(read.signer)]).toEqual([
      good.time,
      good.policy,
      good.nonce,
      certificateDigest(good.signer),
    ]);
  }
  expect(harmless).toEqual([]);
});

withOpenssl("a token of more bytes than the log takes is not read", () => {
  const { token } = stamped();
  expect(() => readToken(Buffer.concat([token, Buffer.alloc(32_768)]))).toThrow("more than 32768 bytes");
});

describe("the reader of DER", () => {
  const first = (hex: string) => new DerReader(Buffer.from(hex, "hex")).any();
  const refused = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      return error instanceof LedgerError ? error.code : error;
    }
    return "read";
  };

  test.each([
    ["an indefinite length", "3080020100 0000"],
    ["a length with a needless octet", "028101 00"],
    ["a length with a leading zero", `04820080${"00".repeat(128)}`],
    ["a length of four octets", "048400000001 00"],
    ["a length beyond the end", "0403 0000"],
    ["a tag of several bytes", "1f8101 00"],
    ["a tag and no more", "30"],
  ])("refuses %s", (_, hex) => {
    expect(refused(() => first(hex.replaceAll(" ", "")))).toBe("timestamp_malformed");
  });

  test.each([
    ["an integer without content", () => integerOf(first("0200"))],
    ["an integer with a needless zero", () => integerOf(first("02020001"))],
    ["an integer with a needless sign", () => integerOf(first("0202ff80"))],
    ["a boolean that is neither", () => booleanOf(first("010101"))],
    ["an identifier with a needless octet", () => oidOf(first("0603 2a8001".replace(" ", "")))],
    ["an identifier that is cut off", () => oidOf(first("06022a80"))],
    ["an identifier without content", () => oidOf(first("0600"))],
    ["a bit string with unused bits", () => octetsOf(first("03020180"))],
    ["a month that does not exist", () => timeOf(time("20261301000000Z"))],
    ["a day that does not exist", () => timeOf(time("20260230000000Z"))],
    ["a time of another zone", () => timeOf(time("20260101000000+0100"))],
    ["a time without seconds", () => timeOf(time("202601010000Z"))],
    ["a fraction that ends in a zero", () => timeOf(time("20260101000000.10Z"))],
    ["a fraction of nothing", () => timeOf(time("20260101000000.Z"))],
    ["a short time with a fraction", () => timeOf({ ...time("260101000000.1Z"), tag: TAG.utcTime })],
  ])("refuses %s", (_, read) => expect(refused(read)).toBe("timestamp_malformed"));

  test("reads times to the millisecond, and years of two digits by RFC 5280", () => {
    expect(timeOf(time("20260102030405.6789Z"))).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    expect(timeOf({ ...time("491231235959Z"), tag: TAG.utcTime })).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(timeOf({ ...time("500101000000Z"), tag: TAG.utcTime })).toBe(Date.UTC(1950, 0, 1));
  });

  test("reads what it should, whatever its length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70_000 }), fc.uint8Array({ maxLength: 4 }), (content, after) => {
        const reader = new DerReader(Buffer.concat([tagged(0x04, content), after]));
        expect(reader.next(0x04).content.equals(content)).toBe(true);
        expect(reader.done).toBe(after.length === 0);
      }),
      { seed: SEED, numRuns: 50 },
    );
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), fc.nat(39), (arcs, second) => {
        const dotted = ["1", second, ...arcs].join(".");
        expect(oidOf(new DerReader(oid(dotted)).any())).toBe(dotted);
      }),
      { seed: SEED },
    );
  });

  test("garbage is refused by one code, as a token, as a reply, as a certificate", () => {
    const code = fc.oneof(fc.uint8Array({ maxLength: 400 }), nested());
    fc.assert(
      fc.property(code, (bytes) => {
        const text = Buffer.from(bytes);
        for (const read of [readToken, readReply])
          expect(refused(() => read(text))).toBe("timestamp_malformed");
        expect(tokenOver(TEXT, text)).toBeNull();
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  function time(written: string) {
    return new DerReader(tagged(TAG.generalizedTime, Buffer.from(written))).any();
  }
});

/** Well-formed DER that means nothing. */
function nested(): fc.Arbitrary<Buffer> {
  const leaf = fc
    .tuple(fc.constantFrom(0x01, 0x02, 0x04, 0x05, 0x06, 0x18), fc.uint8Array({ maxLength: 12 }))
    .map(([tag, content]) => tagged(tag, content));
  return fc.letrec<{ node: Buffer }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      leaf,
      fc
        .tuple(fc.constantFrom(0x30, 0x31, 0xa0, 0xa1), fc.array(tie("node"), { maxLength: 4 }))
        .map(([tag, below]) => tagged(tag, ...below)),
    ),
  })).node;
}

test("a query asks for what it should", () => {
  // RFC 3161 §2.4.1, written out by hand.
  const query = timestampQuery("abc", 0x80n, "1.2.3.4.1");
  const imprint = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(query.toString("hex")).toBe(
    `3043020101${`3031300d060960864801650304020105000420${imprint}`}06042a030401${"02020080"}0101ff`,
  );
});

test("a query with the longest policy that the configuration takes is still in DER", () => {
  const policy = ["2.999999999", ...Array(14).fill("9999999999")].join(".");
  const query = new DerReader(timestampQuery("abc", 2n ** 64n - 1n, policy));
  const inner = new DerReader(query.next(TAG.sequence).content);
  query.end();
  const [version, , asked, nonce, certReq] = inner.rest();
  expect(version !== undefined && integerOf(version)).toBe(1n);
  expect(asked !== undefined && oidOf(asked)).toBe(policy);
  expect(nonce !== undefined && integerOf(nonce)).toBe(2n ** 64n - 1n);
  expect(certReq !== undefined && booleanOf(certReq)).toBe(true);
});
