import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from "jose";
import { dpopProof, senderKey } from "../../src/client/proof.ts";
import { approvalStatement } from "../../src/client/statement.ts";
import { sha256, toBase64url } from "../../src/core/bytes.ts";
import { generateKey } from "../../src/keys/key-file.ts";

const key = senderKey(generateKey("p256"), "test");
const request = {
  method: "POST",
  url: "http://localhost:3000/v1/actions/act/execute",
  token: "token",
  body: Buffer.from("{}"),
  now: 1_700_000_000_900,
};

describe("a proof", () => {
  test("is what rfc 9449 §4.2 asks for, checked by jose", async () => {
    const { payload, protectedHeader } = await jwtVerify(dpopProof(key, request), EmbeddedJWK, {
      typ: "dpop+jwt",
      algorithms: ["ES256"],
      currentDate: new Date(request.now),
    });
    expect(Object.keys(protectedHeader).sort()).toEqual(["alg", "jwk", "typ"]);
    expect(Object.keys(protectedHeader.jwk ?? {}).sort()).toEqual(["crv", "kty", "x", "y"]);
    const { jti, ...claims } = payload;
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(claims).toEqual({
      htm: "POST",
      htu: request.url,
      iat: 1_700_000_000,
      ath: toBase64url(sha256("token")),
      bh: toBase64url(sha256("{}")),
    });
    expect(await calculateJwkThumbprint(protectedHeader.jwk ?? {})).toBe(key.jkt);
  });

  test("binds no body where there is none, and is never the same twice", () => {
    const [first, second] = [1, 2].map(() => decodeJwt(dpopProof(key, { ...request, body: null })));
    expect(first).not.toHaveProperty("bh");
    expect(first?.jti).not.toBe(second?.jti);
  });
});

describe("a sender key", () => {
  for (const [why, other] of [
    ["another curve", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
    ["ed25519", generateKey("ed25519")],
  ] as const)
    test(`of ${why} is refused`, () => {
      expect(() => senderKey(other, "x.pem")).toThrow(expect.objectContaining({ code: "operator_key" }));
    });
});

test("an approval statement names the call and where it is held, and ends soon", async () => {
  const claims = { approval_id: "a", call: "c", log: "l", seq: 7, decision: "approve" } as const;
  const statement = approvalStatement(key, claims, request.now);
  const { payload } = await jwtVerify(statement, EmbeddedJWK, {
    typ: "latchgate-approval+jws",
    algorithms: ["ES256"],
    currentDate: new Date(request.now),
  });
  expect(decodeProtectedHeader(statement)).toEqual({
    typ: "latchgate-approval+jws",
    alg: "ES256",
    jwk: { ...key.jwk },
  });
  const { nonce, ...rest } = payload;
  expect(String(nonce)).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(rest).toEqual({
    approval_id: "a",
    call: "c",
    log: "l",
    seq: 7,
    decision: "approve",
    iat: 1_700_000_000,
    exp: 1_700_000_120,
  });
});
