import { describe, expect, test } from "bun:test";
import { normaliseHtu } from "../../src/identity/htu.ts";
import { type ProofCheck, verifyProof } from "../../src/identity/index.ts";
import vectors from "../vectors/dpop/cases.json";
import { BASE, makeProof, NOW, NOW_SECONDS, newKey, PATH, segment, signSegments } from "./fixtures.ts";

const key = newKey();
const otherKey = newKey();
const LEASE = "the.lease.a";

function check(proof: string, changes: Partial<ProofCheck> = {}): ProofCheck {
  return {
    proof,
    token: LEASE,
    method: "POST",
    path: PATH,
    bases: [BASE],
    expectedThumbprint: key.jkt,
    now: NOW,
    ...changes,
  };
}

/** How each behaviour of the vectors is brought about; the proofs are made afresh, as the vectors ask. */
const build: { readonly [id: string]: () => ProofCheck } = {
  valid_proof: () => check(makeProof(key, LEASE)),
  wrong_method: () => check(makeProof(key, LEASE), { method: "GET" }),
  wrong_url: () => check(makeProof(key, LEASE, { payload: { htu: `${BASE}/v1/actions/other/execute` } })),
  expired_iat: () =>
    check(makeProof(key, LEASE, { payload: { iat: NOW_SECONDS - vectors.iat_window_secs.max_age - 1 } })),
  future_iat: () =>
    check(makeProof(key, LEASE, { payload: { iat: NOW_SECONDS + vectors.iat_window_secs.clock_skew + 1 } })),
  wrong_key_binding: () => check(makeProof(key, LEASE), { expectedThumbprint: otherKey.jkt }),
  wrong_ath: () => check(makeProof(key, LEASE), { token: "the.lease.b" }),
  tampered_header: () => check(appended(makeProof(key, LEASE), 0)),
  tampered_payload: () => check(appended(makeProof(key, LEASE), 1)),
  header_key_vs_signing_key_mismatch: () => check(makeProof(key, LEASE, { signer: otherKey.privateKey })),
  missing_jwk_header: () => check(makeProof(key, LEASE, { header: { jwk: undefined } })),
  wrong_typ: () => check(makeProof(key, LEASE, { header: { typ: "JWT" } })),
  two_part_token: () => check(makeProof(key, LEASE).split(".").slice(0, 2).join(".")),
};

function appended(proof: string, part: number): string {
  return proof
    .split(".")
    .map((text, i) => (i === part ? `${text}A` : text))
    .join(".");
}

test("every case of the vectors is brought about", () => {
  expect(Object.keys(build).sort()).toEqual(vectors.test_cases.map(({ id }) => id).sort());
});

describe.each(["for the first time", "after a good proof of the same key"])("vectors, %s", (when) => {
  test.each(vectors.test_cases)("$id: $expected", (vector) => {
    if (when !== "for the first time") expect(verifyProof(check(makeProof(key, LEASE))).ok).toBe(true);
    const made = build[vector.id]?.();
    if (made === undefined) throw new Error(`no such case: ${vector.id}`);
    const verdict = verifyProof(made);
    expect(verdict.ok).toBe(vector.expected === "ALLOW");
    if (verdict.ok) return;
    expect(verdict.code).toBe("invalid_dpop");
    expect(verdict.detail).toContain(vector.error_contains ?? "");
  });
});

describe("iat", () => {
  const { max_age: maxAge, clock_skew: skew } = vectors.iat_window_secs;
  test.each([
    [-maxAge - 1, false],
    [-maxAge, true],
    [skew, true],
    [skew + 1, false],
  ])("%p s from now: %p", (offset, accepted) => {
    expect(verifyProof(check(makeProof(key, LEASE, { payload: { iat: NOW_SECONDS + offset } }))).ok).toBe(
      accepted,
    );
  });
});

describe("htu normalisation", () => {
  test.each(vectors.htu_normalisation_cases)("$note: $input", ({ input, normalised }) => {
    expect(normaliseHtu(input)).toBe(normalised);
  });

  test.each(vectors.htu_normalisation_cases)(
    "a proof with $input is good for $normalised",
    ({ input, normalised }) => {
      const url = /^(https?:\/\/[^/]+)(\/.*)$/.exec(normalised);
      const [, origin = "", path = ""] = url ?? [];
      // The base is what a listener was configured with; it is normalised the same way.
      const { bases } = check("");
      const accepted = bases.map(() => origin as (typeof bases)[number]);
      const proof = makeProof(key, LEASE, { payload: { htu: input } });
      expect(verifyProof(check(proof, { path, bases: accepted })).ok).toBe(true);
      expect(verifyProof(check(proof, { path: `${path}x`, bases: accepted })).ok).toBe(false);
    },
  );
});

test("a proof by a hand other than ours: the header in another member order", () => {
  const header = segment({
    jwk: { y: key.jwk.y, x: key.jwk.x, kty: "EC", crv: "P-256" },
    alg: "ES256",
    typ: "dpop+jwt",
  });
  const payload = makeProof(key, LEASE).split(".")[1] ?? "";
  expect(verifyProof(check(signSegments(header, payload, key.privateKey))).ok).toBe(true);
});
