import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { sha256, toBase64url, utf8 } from "../../src/core/bytes.ts";
import { normaliseHtu, proofBase } from "../../src/identity/htu.ts";
import { bodyMatches, type ProofCheck, verifyProof } from "../../src/identity/index.ts";
import {
  BASE,
  makeProof,
  NOW,
  NOW_SECONDS,
  newKey,
  PATH,
  type ProofParts,
  segment,
  signSegments,
} from "./fixtures.ts";

const key = newKey();
const TOKEN = "some.lease.token";

function verify(proof: string, changes: Partial<ProofCheck> = {}) {
  return verifyProof({
    proof,
    token: TOKEN,
    method: "POST",
    path: PATH,
    bases: [BASE],
    expectedThumbprint: key.jkt,
    now: NOW,
    ...changes,
  });
}

function detailOf(parts: ProofParts, changes: Partial<ProofCheck> = {}): string {
  const verdict = verify(makeProof(key, TOKEN, parts), changes);
  return verdict.ok ? "accepted" : verdict.detail;
}

test("a good proof says who signed, when, and for which token", () => {
  const verdict = verify(makeProof(key, TOKEN, { payload: { jti: "one" } }));
  expect(verdict).toEqual({
    ok: true,
    proof: { jti: "one", jkt: key.jkt, iat: NOW_SECONDS, bodyHash: null, token: TOKEN },
  });
});

describe("header", () => {
  const beyond = "header has members beyond typ, alg, jwk";
  const badKey = "jwk must be a public p-256 key of exactly kty, crv, x, y";
  const cases: [string, Record<string, unknown>, string][] = [
    ["alg none", { alg: "none" }, "alg must be ES256"],
    ["alg HS256", { alg: "HS256" }, "alg must be ES256"],
    ["alg missing", { alg: undefined }, "alg must be ES256"],
    ["typ missing", { typ: undefined }, "typ must be dpop+jwt"],
    ["typ in another case", { typ: "DPoP+JWT" }, "typ must be dpop+jwt"],
    ["jwk null", { jwk: null }, "jwk is missing from the header"],
    ["jwk a list", { jwk: [] }, "jwk is missing from the header"],
    ["crit", { crit: ["x"] }, beyond],
    ["kid", { kid: "k" }, beyond],
    ["x5c", { x5c: [] }, beyond],
    ["b64", { b64: false }, beyond],
    ["private jwk", { jwk: key.privateKey.export({ format: "jwk" }) }, badKey],
    ["jwk with an extra member", { jwk: { ...key.jwk, use: "sig" } }, badKey],
    ["jwk of another curve", { jwk: { ...key.jwk, crv: "P-384" } }, badKey],
    ["jwk of another type", { jwk: { ...key.jwk, kty: "OKP" } }, badKey],
    ["jwk with padded coordinates", { jwk: { ...key.jwk, x: `${key.jwk.x}=` } }, badKey],
    ["jwk with a short coordinate", { jwk: { ...key.jwk, y: toBase64url(new Uint8Array(31)) } }, badKey],
    ["jwk off the curve", { jwk: { ...key.jwk, y: toBase64url(new Uint8Array(32).fill(1)) } }, badKey],
  ];
  test.each(cases)("%s: refused", (_name, header, detail) => {
    expect(detailOf({ header })).toBe(detail);
    // Once more after the same key has proven itself.
    expect(detailOf({})).toBe("accepted");
    expect(detailOf({ header })).toBe(detail);
  });

  test("duplicate members: refused", () => {
    const header = toBase64url(
      `{"typ":"JWT","typ":"dpop+jwt","alg":"ES256","jwk":${JSON.stringify(key.jwk)}}`,
    );
    const payload = makeProof(key, TOKEN).split(".")[1] ?? "";
    const verdict = verify(signSegments(header, payload, key.privateKey));
    expect(verdict).toMatchObject({ ok: false, detail: "proof header unreadable" });
  });
});

describe("payload", () => {
  const cases: [string, Record<string, unknown>, string][] = [
    ["jti missing", { jti: undefined }, "jti must be a string of 1 to 256 characters"],
    ["jti empty", { jti: "" }, "jti must be a string of 1 to 256 characters"],
    ["jti too long", { jti: "x".repeat(257) }, "jti must be a string of 1 to 256 characters"],
    ["jti a number", { jti: 1 }, "jti must be a string of 1 to 256 characters"],
    ["jti at its longest", { jti: "x".repeat(256) }, "accepted"],
    ["htm missing", { htm: undefined }, "htm must be a string"],
    ["htm in lower case", { htm: "post" }, "htm mismatch"],
    ["htm of another method", { htm: "GET" }, "htm mismatch"],
    ["htu missing", { htu: undefined }, "htu must be a string"],
    ["htu a path", { htu: PATH }, "htu mismatch"],
    ["htu of another host", { htu: `http://evil.test:3000${PATH}` }, "htu mismatch"],
    ["htu of another port", { htu: `http://localhost:3001${PATH}` }, "htu mismatch"],
    ["htu of another scheme", { htu: `https://localhost:3000${PATH}` }, "htu mismatch"],
    ["htu with user information", { htu: `http://localhost:3000@evil.test${PATH}` }, "htu mismatch"],
    ["htu with a trailing slash", { htu: `${BASE}${PATH}/` }, "htu mismatch"],
    ["htu with dots", { htu: `${BASE}/v1/x/..${PATH.slice(3)}` }, "htu mismatch"],
    ["htu with an encoded letter", { htu: `${BASE}${PATH.replace("actions", "%61ctions")}` }, "htu mismatch"],
    ["htu with query and fragment", { htu: `${BASE}${PATH}?a=1#b` }, "accepted"],
    ["iat missing", { iat: undefined }, "iat must be an integer"],
    ["iat as text", { iat: `${NOW_SECONDS}` }, "iat must be an integer"],
    ["iat with a fraction", { iat: NOW_SECONDS + 0.5 }, "iat must be an integer"],
    ["iat negative", { iat: -1 }, "iat too old"],
    ["ath missing", { ath: undefined }, "ath must be a string"],
    ["ath of another token", { ath: sha256("other").toString("base64url") }, "ath does not match the token"],
    ["ath in hex", { ath: sha256(TOKEN).toString("hex") }, "ath does not match the token"],
    ["bh not a hash", { bh: "x" }, "bh must be the base64url of a sha-256"],
    ["bh null", { bh: null }, "bh must be the base64url of a sha-256"],
    ["members that we do not know", { nonce: "n", x: [1] }, "accepted"],
  ];
  test.each(cases)("%s", (_name, payload, detail) => {
    expect(detailOf({ payload })).toBe(detail);
  });

  test("a payload that is not an object: refused after its signature was checked", () => {
    const header = segment({ typ: "dpop+jwt", alg: "ES256", jwk: key.jwk });
    for (const payload of ["[]", "1", "null", "{", '{"jti":"a","jti":"b"}'])
      expect(verify(signSegments(header, toBase64url(payload), key.privateKey))).toMatchObject({
        ok: false,
        detail: "payload is not a json object",
        rejection: "malformed",
      });
  });

  test("a proof from before the replay memory began: refused", () => {
    expect(detailOf({}, { notBefore: NOW_SECONDS + 1 })).toStartWith("iat too old");
    expect(detailOf({}, { notBefore: NOW_SECONDS })).toBe("accepted");
  });

  test("without a token there is no ath", () => {
    expect(verify(makeProof(key, null), { token: null }).ok).toBe(true);
    expect(verify(makeProof(key, TOKEN), { token: null })).toMatchObject({
      ok: false,
      detail: "ath without a token",
    });
  });
});

describe("order of checks: the first thing wrong is the one that is said", () => {
  const other = newKey();
  // Each step repairs one thing more, from the last check to the first.
  test("from all wrong to all right", () => {
    const wrong = { htm: "GET", htu: "http://x/", iat: 0, ath: "x" };
    const details = [
      verify("a.b"),
      verify(makeProof(other, TOKEN, { header: { typ: "JWT" }, payload: wrong })),
      verify(makeProof(other, TOKEN, { payload: { ...wrong, jti: 1 }, signer: newKey().privateKey })),
      verify(makeProof(key, TOKEN, { payload: { ...wrong, jti: 1 }, signer: other.privateKey })),
      verify(makeProof(key, TOKEN, { payload: { ...wrong, jti: 1 } })),
      verify(makeProof(key, TOKEN, { payload: wrong })),
      verify(makeProof(key, TOKEN, { payload: { ...wrong, htm: "POST" } })),
      verify(makeProof(key, TOKEN, { payload: { iat: 0, ath: "x" } })),
      verify(makeProof(key, TOKEN, { payload: { ath: "x" } })),
      verify(makeProof(key, TOKEN)),
    ].map((verdict) => (verdict.ok ? "accepted" : verdict.rejection));
    expect(details).toEqual([
      "malformed",
      "bad_header",
      "bad_key",
      "bad_sig",
      "malformed",
      "bad_htm",
      "bad_htu",
      "bad_iat",
      "bad_ath",
      "accepted",
    ]);
  });
});

test("any one byte of a proof, replaced: refused", () => {
  const proof = makeProof(key, TOKEN);
  const at = fc.integer({ min: 0, max: proof.length - 1 });
  fc.assert(
    fc.property(at, fc.integer({ min: 0x20, max: 0x7e }), (i, code) => {
      const changed = proof.slice(0, i) + String.fromCharCode(code) + proof.slice(i + 1);
      fc.pre(changed !== proof);
      expect(verify(changed)).toMatchObject({ ok: false, code: "invalid_dpop" });
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("whatever text is sent as a proof gets a verdict and is never echoed", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200, unit: "binary" }), (text) => {
      const verdict = verify(text);
      expect(verdict.ok).toBe(false);
      if (!verdict.ok && text.length > 8) expect(verdict.detail).not.toContain(text);
    }),
    { seed: 1, numRuns: 300 },
  );
});

describe("bases", () => {
  test("each accepted base works, others do not", () => {
    const bases = [proofBase("https://gate.example/"), proofBase("http://localhost")];
    for (const origin of [
      "https://gate.example",
      "http://localhost",
      "http://LOCALHOST:80",
      "https://gate.example:443",
    ])
      expect(detailOf({ payload: { htu: origin + PATH } }, { bases })).toBe("accepted");
    for (const origin of ["http://gate.example", "https://localhost", "http://localhost:3000"])
      expect(detailOf({ payload: { htu: origin + PATH } }, { bases })).toBe("htu mismatch");
  });

  test("a base with a path prefix", () => {
    const bases = [proofBase("https://h.example/gate/")];
    expect(detailOf({ payload: { htu: `https://h.example/gate${PATH}` } }, { bases })).toBe("accepted");
    expect(detailOf({ payload: { htu: `https://h.example${PATH}` } }, { bases })).toBe("htu mismatch");
  });

  test.each([
    "",
    "localhost:3000",
    "ftp://h",
    "http://",
    "http://a@b",
    "http://h?x",
    "http://h#x",
    "http://h/a b",
  ])("%p is no base", (url) => {
    expect(() => proofBase(url)).toThrow("a base url must be");
  });

  test.each([
    "http:///path",
    "http://:80/path",
    "//h/path",
    "http:/h/path",
    "http://h\\@evil/path",
    "http://h/\u00e9",
  ])("%p does not normalise", (url) => {
    expect(normaliseHtu(url)).toBeNull();
  });

  test("a bare authority has the path /", () => {
    expect(normaliseHtu("https://h")).toBe("https://h/");
    expect(normaliseHtu("https://h?q")).toBe("https://h/");
  });
});

test("a body hash binds the body", () => {
  const body = utf8('{"amount":5}');
  const verdict = verify(makeProof(key, TOKEN, { payload: { bh: sha256(body).toString("base64url") } }));
  if (!verdict.ok) throw new Error(verdict.detail);
  expect(verdict.proof.bodyHash).toBe(sha256(body).toString("base64url"));
  expect(bodyMatches(verdict.proof, body)).toBe(true);
  expect(bodyMatches(verdict.proof, utf8('{"amount":50}'))).toBe(false);
  expect(bodyMatches({ ...verdict.proof, bodyHash: null }, utf8("anything"))).toBe(true);
});
