import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { toBase64url } from "../../src/core/bytes.ts";
import { issueLease, LeaseVerifier, leaseSigner } from "../../src/identity/index.ts";
import { makeLease, NOW, NOW_SECONDS, newKey, segment, signSegments } from "./fixtures.ts";

const gate = newKey();
const agent = newKey();
const signer = leaseSigner(gate.privateKey);
const token = issueLease(makeLease(agent.jkt), signer);
const [headerSegment = "", payloadSegment = "", signatureSegment = ""] = token.split(".");
const goodClaims = JSON.parse(Buffer.from(payloadSegment, "base64url").toString()) as Record<string, unknown>;

function verifier(): LeaseVerifier {
  return new LeaseVerifier([{ key: gate.publicKey, notAfter: null }]);
}

function refusal(text: string, now = NOW, by = verifier()): string {
  const verdict = by.verify(text, now);
  return verdict.ok ? "accepted" : `${verdict.code}: ${verdict.detail}`;
}

function withClaims(changes: Record<string, unknown>): string {
  return signSegments(headerSegment, segment({ ...goodClaims, ...changes }), gate.privateKey);
}

test("a lease says after verification what was put into it", () => {
  const lease = makeLease(agent.jkt, {
    owner: "alice",
    maxCalls: 7,
    scopes: ["tools:call", "audit:read"],
    epoch: 3,
  });
  const verdict = verifier().verify(issueLease(lease, signer), NOW);
  expect(verdict).toEqual({ ok: true, lease: { ...lease, kid: gate.jkt } });
});

test("the header is closed and names the thumbprint of the key", () => {
  const header: unknown = JSON.parse(Buffer.from(headerSegment, "base64url").toString());
  expect(header).toEqual({ typ: "JWT", alg: "ES256", kid: gate.jkt });
});

describe("a token that was changed", () => {
  test("any one byte, replaced by any other: refused", () => {
    const at = fc.integer({ min: 0, max: token.length - 1 });
    const by = fc.integer({ min: 0x20, max: 0x7e });
    fc.assert(
      fc.property(at, by, (i, code) => {
        const changed = token.slice(0, i) + String.fromCharCode(code) + token.slice(i + 1);
        fc.pre(changed !== token);
        expect(refusal(changed)).toStartWith("invalid_lease");
      }),
      { seed: 1, numRuns: 400 },
    );
  });

  test("the last character of each segment, through the whole alphabet: one text only is taken", () => {
    // 64-byte signatures leave 4 unused bits in their last character: 15 other texts decode to the same bytes.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const by = verifier();
    for (const at of [headerSegment.length, headerSegment.length + 1 + payloadSegment.length, token.length]) {
      const taken = [...alphabet].filter(
        (c) => by.verify(token.slice(0, at - 1) + c + token.slice(at), NOW).ok,
      );
      expect(taken).toHaveLength(1);
    }
  });

  test.each([
    ["padded", `${token}=`],
    ["with white space", ` ${token}`],
    ["with a line feed", `${token}\n`],
    ["with four segments", `${token}.`],
    ["with two segments", `${headerSegment}.${payloadSegment}`],
    ["unsigned", `${headerSegment}.${payloadSegment}.`],
    ["without anything", ""],
    ["of dots", ".."],
    ["longer than the limit", `${token}${"A".repeat(8192)}`],
  ])("%s: refused", (_name, text) => {
    expect(refusal(text)).toStartWith("invalid_lease");
  });
});

describe("algorithm and key confusion", () => {
  const headers: [string, Record<string, unknown>][] = [
    ["alg none", { typ: "JWT", alg: "none", kid: gate.jkt }],
    ["alg in another case", { typ: "JWT", alg: "es256", kid: gate.jkt }],
    ["alg RS256", { typ: "JWT", alg: "RS256", kid: gate.jkt }],
    ["alg missing", { typ: "JWT", kid: gate.jkt }],
    ["kid missing", { typ: "JWT", alg: "ES256" }],
    ["kid not a string", { typ: "JWT", alg: "ES256", kid: [gate.jkt] }],
    ["typ of a proof", { typ: "dpop+jwt", alg: "ES256", kid: gate.jkt }],
    ["typ missing", { alg: "ES256", kid: gate.jkt }],
    ["crit", { typ: "JWT", alg: "ES256", kid: gate.jkt, crit: ["exp"] }],
    ["b64", { typ: "JWT", alg: "ES256", kid: gate.jkt, b64: false }],
    ["jwk", { typ: "JWT", alg: "ES256", kid: gate.jkt, jwk: gate.jwk }],
    ["jku", { typ: "JWT", alg: "ES256", kid: gate.jkt, jku: "https://evil.test/jwks" }],
  ];
  test.each(headers)("%s, though signed by the right key: refused", (_name, header) => {
    expect(refusal(signSegments(segment(header), payloadSegment, gate.privateKey))).toBe(
      "invalid_lease: lease header not as issued",
    );
  });

  test("HS256 with the public key as the secret: refused", () => {
    const input = `${segment({ typ: "JWT", alg: "HS256", kid: gate.jkt })}.${payloadSegment}`;
    for (const secret of [
      gate.publicKey.export({ format: "pem", type: "spki" }),
      gate.publicKey.export({ format: "der", type: "spki" }),
    ]) {
      const mac = createHmac("sha256", secret).update(input).digest();
      expect(refusal(`${input}.${toBase64url(mac)}`)).toBe("invalid_lease: lease header not as issued");
    }
  });

  test("a key of one's own, under its own kid or under the gate's: refused", () => {
    const own = issueLease(makeLease(agent.jkt), leaseSigner(agent.privateKey));
    expect(refusal(own)).toBe("invalid_lease: lease signed by an unknown key");
    expect(refusal(signSegments(headerSegment, payloadSegment, agent.privateKey))).toBe(
      "invalid_lease: lease signature verification failed",
    );
  });

  test("a signature in DER: refused", () => {
    const raw = Buffer.from(signatureSegment, "base64url");
    const der = Buffer.concat([
      Buffer.from([0x30, 68, 2, 32]),
      raw.subarray(0, 32),
      Buffer.from([2, 32]),
      raw.subarray(32),
    ]);
    expect(refusal(`${headerSegment}.${payloadSegment}.${toBase64url(der)}`)).toBe(
      "invalid_lease: lease signature verification failed",
    );
  });

  test("duplicate members in header or claims: refused", () => {
    const header = toBase64url(`{"typ":"JWT","alg":"none","alg":"ES256","kid":"${gate.jkt}"}`);
    expect(refusal(signSegments(header, payloadSegment, gate.privateKey))).toBe(
      "invalid_lease: lease header unreadable",
    );
    const claims = toBase64url(JSON.stringify(goodClaims).replace("{", '{"sub":"uid:0",'));
    expect(refusal(signSegments(headerSegment, claims, gate.privateKey))).toBe(
      "invalid_lease: lease claims not as issued",
    );
  });
});

describe("claims", () => {
  test.each(Object.keys(goodClaims))("without %s: refused", (name) => {
    expect(refusal(withClaims({ [name]: undefined }))).toBe("invalid_lease: lease claims not as issued");
  });

  const wrong: [string, unknown][] = [
    ["iss", "other"],
    ["aud", "other"],
    ["aud", ["latchgate"]],
    ["sub", ""],
    ["sub", "*"],
    ["sub", 7],
    ["tenant", "No Tenant"],
    ["iat", `${NOW_SECONDS}`],
    ["iat", NOW_SECONDS + 0.5],
    ["nbf", NOW_SECONDS - 1],
    ["exp", NOW_SECONDS],
    ["exp", NOW_SECONDS + 3601],
    ["exp", null],
    ["jti", ""],
    ["session_id", 5],
    ["scope", "tools:call"],
    ["scope", []],
    ["scope", ["nocolon"]],
    ["epoch", -1],
    ["epoch", "0"],
    ["budgets", { max_calls: -1 }],
    ["budgets", { max_calls: null, extra: 1 }],
    ["cnf", { jkt: "short" }],
    ["cnf", { jkt: agent.jkt, x5t: "y" }],
    ["owner", 1],
    ["admin", true],
  ];
  test.each(wrong)("%s as %p: refused", (name, value) => {
    expect(refusal(withClaims({ [name]: value }))).toBe("invalid_lease: lease claims not as issued");
  });
});

describe("time", () => {
  test("good from its first millisecond to the last, without leeway", () => {
    expect(refusal(token, NOW_SECONDS * 1000 - 1)).toBe("invalid_lease: lease not yet valid");
    expect(refusal(token, NOW_SECONDS * 1000)).toBe("accepted");
    expect(refusal(token, (NOW_SECONDS + 300) * 1000 - 1)).toBe("accepted");
    expect(refusal(token, (NOW_SECONDS + 300) * 1000)).toBe("lease_expired: lease expired");
  });

  test("a token that was verified before expires all the same", () => {
    const by = verifier();
    expect(refusal(token, NOW, by)).toBe("accepted");
    expect(refusal(token, NOW + 400_000, by)).toBe("lease_expired: lease expired");
    expect(refusal(token, NOW_SECONDS * 1000 - 1, by)).toBe("invalid_lease: lease not yet valid");
  });

  test("an expired token with a bad signature is invalid, not expired", () => {
    expect(refusal(signSegments(headerSegment, payloadSegment, agent.privateKey), NOW + 400_000)).toStartWith(
      "invalid_lease",
    );
  });
});

describe("key history", () => {
  const next = newKey();

  test("leases of an older key are good until its grace ends, also from the cache", () => {
    const by = new LeaseVerifier([
      { key: next.publicKey, notAfter: null },
      { key: gate.publicKey, notAfter: NOW + 1000 },
    ]);
    expect(refusal(token, NOW, by)).toBe("accepted");
    expect(refusal(token, NOW + 1000, by)).toBe("accepted");
    expect(refusal(token, NOW + 1001, by)).toBe("invalid_lease: lease key retired");
  });

  test("replaced keys take effect at once, whatever was verified before", () => {
    const by = verifier();
    expect(refusal(token, NOW, by)).toBe("accepted");
    by.replaceKeys([{ key: next.publicKey, notAfter: null }]);
    expect(refusal(token, NOW, by)).toBe("invalid_lease: lease signed by an unknown key");
    expect(refusal(issueLease(makeLease(agent.jkt), leaseSigner(next.privateKey)), NOW, by)).toBe("accepted");
  });
});

describe("issuing", () => {
  test.each([
    ["longer than an hour", { expiresAt: NOW_SECONDS + 3601 }],
    ["without scopes", { scopes: [] }],
    ["for everyone", { principal: "*" }],
    ["bound to no key", { jkt: "" }],
    ["with a negative budget", { maxCalls: -1 }],
  ])("a lease %s is not signed", (_name, changes) => {
    expect(() => issueLease(makeLease(agent.jkt, changes), signer)).toThrow("the lease cannot be issued");
  });

  test("a public key does not make a signer", () => {
    expect(() => leaseSigner(gate.publicKey)).toThrow("must be a p-256 private key");
  });
});
