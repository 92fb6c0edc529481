/** The client of time-stamp authorities against `openssl ts`, and against authorities that lie. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "bun:test";
import { randomBytes } from "node:crypto";
import type { TimestampAuthority } from "../../src/ledger/anchor/timestamp/authority.ts";
import { readPem } from "../../src/ledger/anchor/timestamp/certificate.ts";
import { askAuthority, type StampAnswer } from "../../src/ledger/anchor/timestamp/client.ts";
import { issue, makeAuthority, sequence, tagged } from "../certificates.ts";
import { requireTool } from "../require-tool.ts";
import {
  granting,
  type Misanswer,
  nonceOf,
  OTHER_POLICY,
  POLICY,
  refusing,
  startTimestampServer,
  TestAuthority,
  type TimestampServer,
} from "./timestamp-server.ts";

const test = requireTool("openssl", "apt-get install openssl");
const TEXT = `latchgate/test\n7\n${"A".repeat(43)}=\n`;

const made: TestAuthority[] = [];
function authorityOf(...setup: ConstructorParameters<typeof TestAuthority>): TestAuthority {
  const authority = new TestAuthority(...setup);
  made.push(authority);
  return authority;
}
afterAll(() => {
  for (const one of made) one[Symbol.dispose]();
});

const trusting = (pem: string, policy: string | null = null): TimestampAuthority => ({
  name: "tsa",
  trusted: readPem(pem),
  policy,
});

let honest: TestAuthority;
beforeAll(() => {
  if (Bun.which("openssl") !== null) honest = authorityOf();
});

let server: TimestampServer;
beforeEach(() => {
  server = startTimestampServer(honest);
});
afterEach(() => server[Symbol.asyncDispose]());

interface Asked {
  readonly trust?: TimestampAuthority;
  readonly nonce?: bigint;
  readonly timeoutMs?: number;
  readonly url?: string;
  readonly ca?: string | null;
}

const ask = (how: Asked = {}): Promise<StampAnswer> =>
  askAuthority(
    how.trust ?? trusting(honest.root),
    { url: how.url ?? server.url, ca: how.ca ?? null },
    {
      text: TEXT,
      nonce: how.nonce ?? randomBytes(8).readBigUInt64BE(),
      timeoutMs: how.timeoutMs ?? 10_000,
    },
  );
const code = (answer: StampAnswer) => (answer.kind === "refused" ? answer.code : answer.kind);

describe("an honest authority stamps", () => {
  for (const key of ["rsa", "P-256", "P-384"] as const)
    for (const [bind, digest] of [
      ["sha256", "sha256"],
      ["sha1", "sha512"],
    ] as const)
      test(`with a key of ${key}, bound by ${bind}, signed over ${digest}; openssl ts says the same`, async () => {
        const authority = authorityOf({ key, bind, digest });
        await using own = startTimestampServer(authority);
        const before = Date.now();
        const answer = await ask({ trust: trusting(authority.root), url: own.url });
        if (answer.kind !== "stamped") throw new Error(answer.detail);
        expect(Math.abs(answer.token.time - before)).toBeLessThan(60_000);
        expect(answer.token.policy).toBe(POLICY);
        expect(authority.verifies(answer.der, TEXT)).toBe(true);
        expect(authority.verifies(answer.der, `${TEXT}x`)).toBe(false);
        expect(code(await ask({ url: own.url }))).toBe("timestamp_unverified");
      });

  test("by a chain with an authority between, or a certificate that is itself trusted", async () => {
    const authority = authorityOf({ between: "basicConstraints = critical, CA:true, pathlen:0" });
    await using own = startTimestampServer(authority);
    for (const pem of [authority.root, authority.signer])
      expect(code(await ask({ trust: trusting(pem), url: own.url }))).toBe("stamped");
  });

  test("under the policy that is asked for, whatever the nonce", async () => {
    const answer = await ask({ trust: trusting(honest.root, OTHER_POLICY) });
    expect(answer).toMatchObject({ kind: "stamped", token: { policy: OTHER_POLICY } });
    for (const nonce of [1n, 127n, 128n, 255n, 2n ** 63n, 2n ** 64n - 1n])
      expect(code(await ask({ nonce }))).toBe("stamped");
    expect(server.seen.slice(1).map(nonceOf)).toEqual([1n, 127n, 128n, 255n, 2n ** 63n, 2n ** 64n - 1n]);
  });

  test("over tls, with the authority that is configured and no other", async () => {
    const tls = makeAuthority("Stamp TLS CA");
    await using secure = startTimestampServer(honest, issue(tls, { addresses: ["127.0.0.1"] }));
    expect(code(await ask({ url: secure.url, ca: tls.certificate }))).toBe("stamped");
    expect(code(await ask({ url: secure.url }))).toBe("timestamp_unreachable");
  });
});

describe("not taken", () => {
  const forging =
    (change: Partial<Parameters<TestAuthority["forge"]>[0]>): Misanswer =>
    (query) =>
      granting(honest.forge({ text: TEXT, nonce: nonceOf(query), ...change }));
  const year = 365 * 24 * 3_600_000;

  test("a forger of nothing is no forger: what openssl cms signs as it should be, is taken", async () => {
    server.misbehave(forging({}));
    expect(code(await ask())).toBe("stamped");
  });

  const forged: readonly (readonly [string, Parameters<typeof forging>[0]])[] = [
    ["a stamp of another text", { text: `${TEXT}x` }],
    ["a stamp without a nonce", { nonce: null }],
    ["a stamp for another nonce", { nonce: 5n }],
    ["a signer whose certificate had run out by then", { time: new Date(Date.now() + 2 * year) }],
    ["a signer whose certificate was not there yet", { time: new Date(Date.now() - 2 * year) }],
    ["a signature that does not bind the certificate", { unbound: true }],
    ["other content than a stamp", { contentType: "1.2.840.113549.1.7.1" }],
    ["a token without the certificate", { options: ["-nocerts"] }],
    ["a token without signed attributes", { unbound: true, options: ["-noattr"] }],
    ["an extension that nobody knows", { more: tagged(0xa1, sequence()) }],
    ["something behind the stamp", { more: tagged(0x05) }],
    ["a default that is written out", { nonce: null, more: tagged(0x01, Buffer.of(0)) }],
    ["two signers", { options: ["-signer", "root.pem", "-inkey", "root.key"] }],
  ];
  for (const [what, change] of forged)
    test(what, async () => {
      server.misbehave(forging(change));
      expect(code(await ask())).toBe("timestamp_unverified");
    });

  test("a policy that was not asked for", async () => {
    server.misbehave(forging({ policy: OTHER_POLICY }));
    expect(code(await ask({ trust: trusting(honest.root, POLICY) }))).toBe("timestamp_unverified");
    expect(code(await ask({ trust: trusting(honest.root, OTHER_POLICY) }))).toBe("stamped");
  });

  test("the answer to an earlier request", async () => {
    let kept: Buffer | null = null;
    server.misbehave((_, answer) => {
      kept ??= answer();
      return kept;
    });
    expect(code(await ask())).toBe("stamped");
    expect(code(await ask())).toBe("timestamp_unverified");
  });

  const signers: readonly (readonly [string, string])[] = [
    ["for nothing in particular", "keyUsage = critical, digitalSignature"],
    ["for time stamps, but not critically", "extendedKeyUsage = timeStamping"],
    ["for time stamps and more", "extendedKeyUsage = critical, timeStamping, codeSigning"],
    ["for something else", "extendedKeyUsage = critical, serverAuth"],
    [
      "for keys that sign nothing",
      "keyUsage = critical, keyEncipherment\nextendedKeyUsage = critical, timeStamping",
    ],
  ];
  for (const [what, signer] of signers)
    test(`a certificate ${what}`, async () => {
      const authority = authorityOf({ signer });
      server.misbehave((query) =>
        granting(authority.forge({ text: TEXT, nonce: nonceOf(query), options: ["-certfile", "root.pem"] })),
      );
      expect(code(await ask({ trust: trusting(authority.root) }))).toBe("timestamp_unverified");
      expect(code(await ask({ trust: trusting(authority.signer) }))).toBe("timestamp_unverified");
    });

  test("a certificate with a critical extension that nobody knows", async () => {
    const signer = "1.2.3.4 = critical, DER:0500\nextendedKeyUsage = critical, timeStamping";
    const authority = authorityOf({ signer });
    server.misbehave((query) => granting(authority.forge({ text: TEXT, nonce: nonceOf(query) })));
    expect(await ask({ trust: trusting(authority.root) })).toMatchObject({
      code: "timestamp_unverified",
      detail: "the critical extension 1.2.3.4 is not known",
    });
    expect(() => trusting(authority.signer)).toThrow("1.2.3.4 is not known");
  });

  const chains: readonly (readonly [string, ConstructorParameters<typeof TestAuthority>[0]])[] = [
    ["an authority between that is none", { between: "basicConstraints = critical, CA:false" }],
    [
      "an authority between that may not sign certificates",
      { between: "basicConstraints = critical, CA:true\nkeyUsage = critical, cRLSign" },
    ],
    [
      "an authority between for something else",
      { between: "basicConstraints = critical, CA:true\nextendedKeyUsage = serverAuth" },
    ],
    [
      "a chain that is longer than its root allows",
      { root: "basicConstraints = critical, CA:true, pathlen:0", between: "basicConstraints = CA:true" },
    ],
    ["a root that is no authority", { root: "basicConstraints = CA:false" }],
  ];
  for (const [what, setup] of chains)
    test(what, async () => {
      const authority = authorityOf(setup);
      const certificates = setup?.between === undefined ? [] : ["-certfile", "between.pem"];
      server.misbehave((query) =>
        granting(authority.forge({ text: TEXT, nonce: nonceOf(query), options: certificates })),
      );
      expect(code(await ask({ trust: trusting(authority.root) }))).toBe("timestamp_unverified");
      expect(code(await ask({ trust: trusting(authority.signer) }))).toBe("stamped");
    });

  test("a twin of the authority, of the same names", async () => {
    const twin = authorityOf();
    server.misbehave((query) => twin.reply(query));
    expect(code(await ask())).toBe("timestamp_unverified");
    server.misbehave((query) =>
      granting(
        twin.forge({ text: TEXT, nonce: nonceOf(query), options: ["-certfile", `${honest.dir}/root.pem`] }),
      ),
    );
    expect(code(await ask())).toBe("timestamp_unverified");
  });

  const answers: readonly (readonly [string, Misanswer, string])[] = [
    ["a rejection", () => refusing(2), "timestamp_refused"],
    ["a rejection with a token", (_, answer) => rejectionOf(answer()), "timestamp_refused"],
    ["a grant without a token", () => refusing(0), "timestamp_unverified"],
    ["nothing", () => Buffer.alloc(0), "timestamp_unverified"],
    ["garbage", () => Buffer.from("It works!"), "timestamp_unverified"],
    [
      "an answer with something behind it",
      (_, answer) => Buffer.concat([answer(), Buffer.of(0)]),
      "timestamp_unverified",
    ],
    ["half an answer", (_, answer) => answer().subarray(0, -20), "timestamp_unverified"],
    [
      "an answer of another type",
      (_, answer) => new Response(new Uint8Array(answer())),
      "timestamp_unverified",
    ],
    ["an endless answer", () => Buffer.alloc(70_000), "timestamp_unreachable"],
    ["a failure", () => new Response("", { status: 500 }), "timestamp_refused"],
    ["a redirect", () => Response.redirect("http://127.0.0.1:1/stamp", 307), "timestamp_refused"],
  ];
  for (const [what, answer, expected] of answers)
    test(what, async () => {
      server.misbehave(answer);
      expect(code(await ask())).toBe(expected as ReturnType<typeof code>);
      expect(server.seen).toHaveLength(1);
    });

  test("a certificate that somebody else stores beside the token", async () => {
    const twin = authorityOf();
    server.misbehave((query) =>
      granting(
        twin.forge({
          text: TEXT,
          nonce: nonceOf(query),
          options: ["-nocerts", "-certfile", `${honest.dir}/signer.pem`],
        }),
      ),
    );
    expect(code(await ask())).toBe("timestamp_unverified");
  });

  test("an authority that does not answer in time, or is not there", async () => {
    server.misbehave(() => new Promise<Response>(() => undefined));
    expect(code(await ask({ timeoutMs: 100 }))).toBe("timestamp_unreachable");
    await server[Symbol.asyncDispose]();
    expect(code(await ask())).toBe("timestamp_unreachable");
  });
});

function rejectionOf(reply: Buffer): Buffer {
  const changed = Buffer.from(reply);
  const status = changed.indexOf(Buffer.from("020100", "hex"));
  changed[status + 2] = 2;
  return changed;
}
