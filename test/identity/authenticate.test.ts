import { describe, expect, test } from "bun:test";
import {
  type AuthRequest,
  authenticateLease,
  authenticateOperator,
  issueLease,
  type Lease,
  LeaseVerifier,
  leaseSigner,
  OperatorDirectory,
  ReplayStore,
} from "../../src/identity/index.ts";
import {
  BASE,
  makeLease,
  makeProof,
  newKey,
  PATH,
  type ProofParts,
  TestClock,
  type TestKey,
} from "./fixtures.ts";

const gate = newKey();
const agent = newKey();
const operatorKey = newKey();
const signer = leaseSigner(gate.privateKey);
const token = issueLease(makeLease(agent.jkt), signer);

function world(changes: { revoked?: (lease: Lease) => boolean; capacity?: number } = {}) {
  const clock = new TestClock();
  return {
    clock,
    leases: new LeaseVerifier([{ key: gate.publicKey, notAfter: null }]),
    replay: new ReplayStore(clock, changes.capacity === undefined ? {} : { capacity: changes.capacity }),
    operators: new OperatorDirectory([{ id: "alice", thumbprint: operatorKey.jkt }]),
    revoked: changes.revoked ?? (() => false),
  };
}

function request(key: TestKey, bearer: string, parts: ProofParts = {}): AuthRequest {
  return {
    authorization: [`DPoP ${bearer}`],
    dpop: [makeProof(key, bearer, parts)],
    method: "POST",
    path: PATH,
    bases: [BASE],
  };
}

function outcome(verdict: { readonly ok: boolean }): unknown {
  if (verdict.ok) return "ok";
  const { code, status } = verdict as { code: unknown; status: unknown } & typeof verdict;
  return `${status} ${code}`;
}

describe("an agent", () => {
  test("is recognised by lease and proof", () => {
    const verdict = authenticateLease(request(agent, token), world());
    expect(verdict).toMatchObject({
      ok: true,
      lease: { principal: "uid:1000" },
      proof: { jkt: agent.jkt, token },
    });
  });

  const good = request(agent, token);
  test.each<[string, Partial<AuthRequest>, string]>([
    ["no authorization", { authorization: [] }, "401 missing_auth_header"],
    ["nothing at all", { authorization: [], dpop: [] }, "401 missing_auth_header"],
    ["no proof", { dpop: [] }, "401 missing_auth_header"],
    ["two proofs", { dpop: [...good.dpop, makeProof(agent, token)] }, "401 invalid_dpop"],
    [
      "two proofs in one header",
      { dpop: [`${good.dpop[0]}, ${makeProof(agent, token)}`] },
      "401 invalid_dpop",
    ],
    [
      "two authorizations",
      { authorization: [...good.authorization, ...good.authorization] },
      "401 invalid_lease",
    ],
    ["Bearer", { authorization: [`Bearer ${token}`] }, "401 invalid_lease"],
    ["dpop in lower case", { authorization: [`dpop ${token}`] }, "401 invalid_lease"],
    ["an empty token", { authorization: ["DPoP "] }, "401 invalid_lease"],
    ["a token with a space before it", { authorization: [`DPoP  ${token}`] }, "401 invalid_lease"],
    ["an operator's id as token", { authorization: ["DPoP alice"] }, "401 invalid_lease"],
    ["an empty proof", { dpop: [""] }, "401 invalid_dpop"],
    ["another method", { method: "GET" }, "401 invalid_dpop"],
    ["another path", { path: "/v1/receipts/1" }, "401 invalid_dpop"],
    ["no accepted base", { bases: [] }, "401 invalid_dpop"],
  ])("%s: refused", (_name, changes, expected) => {
    expect(outcome(authenticateLease({ ...request(agent, token), ...changes }, world()))).toBe(expected);
  });

  test("a stolen token is worth nothing without the key", () => {
    const verdict = authenticateLease(request(newKey(), token), world());
    expect(verdict).toMatchObject({ ok: false, code: "invalid_dpop", rejection: "bad_key" });
  });

  test("a proof is good once, and a proof that failed is not spent", () => {
    const deps = world();
    const sent = request(agent, token);
    expect(outcome(authenticateLease({ ...sent, path: "/other" }, deps))).toBe("401 invalid_dpop");
    expect(outcome(authenticateLease(sent, deps))).toBe("ok");
    expect(outcome(authenticateLease(sent, deps))).toBe("401 replay_detected");
  });

  test("an expired lease is told apart, and only by its expiry", () => {
    const deps = world();
    deps.clock.advance(300_000);
    expect(outcome(authenticateLease(request(agent, token), deps))).toBe("401 lease_expired");
  });

  test("revocation counts on each request, also for a lease that was good before", () => {
    let epoch = 0;
    const deps = world({ revoked: (lease) => lease.epoch < epoch });
    expect(outcome(authenticateLease(request(agent, token), deps))).toBe("ok");
    epoch = 1;
    expect(outcome(authenticateLease(request(agent, token), deps))).toBe("401 revoked");
  });

  test("a full replay memory refuses", () => {
    const deps = world({ capacity: 1 });
    expect(outcome(authenticateLease(request(agent, token), deps))).toBe("ok");
    expect(outcome(authenticateLease(request(agent, token), deps))).toBe("503 replay_cache_unavailable");
  });

  test("after a restart, proofs of before are refused", () => {
    const sent = request(agent, token);
    const deps = world();
    deps.clock.advance(1000);
    const restarted = { ...deps, replay: new ReplayStore(deps.clock) };
    expect(authenticateLease(sent, deps).ok).toBe(true);
    expect(authenticateLease(sent, restarted)).toMatchObject({
      ok: false,
      code: "invalid_dpop",
      rejection: "bad_iat",
    });
  });

  test("a lease bound to what has become an operator's key is refused", () => {
    const crossed = issueLease(makeLease(operatorKey.jkt), signer);
    expect(outcome(authenticateLease(request(operatorKey, crossed), world()))).toBe("401 invalid_lease");
  });
});

describe("an operator", () => {
  test("is recognised by id and key", () => {
    const verdict = authenticateOperator(request(operatorKey, "alice"), world());
    expect(verdict).toMatchObject({ ok: true, operator: { id: "alice" }, proof: { jkt: operatorKey.jkt } });
  });

  test.each<[string, Partial<AuthRequest>, string]>([
    ["no authorization", { authorization: [] }, "401 missing_auth_header"],
    ["no proof", { dpop: [] }, "401 missing_dpop_header"],
    ["Bearer", { authorization: ["Bearer alice"] }, "401 invalid_auth_scheme"],
    ["Bearer without a proof", { authorization: ["Bearer alice"], dpop: [] }, "401 invalid_auth_scheme"],
    ["two authorizations", { authorization: ["DPoP alice", "DPoP alice"] }, "401 invalid_auth_scheme"],
    ["two proofs", { dpop: ["a", "b"] }, "401 invalid_dpop"],
    ["an empty token", { authorization: ["DPoP "] }, "401 invalid_operator_token"],
    ["an unknown token", { authorization: ["DPoP bob"] }, "401 invalid_operator_token"],
    ["another case", { authorization: ["DPoP Alice"] }, "401 invalid_operator_token"],
    ["a proof for another call", { path: "/v1/admin/drain" }, "401 invalid_dpop"],
  ])("%s: refused", (_name, changes, expected) => {
    expect(outcome(authenticateOperator({ ...request(operatorKey, "alice"), ...changes }, world()))).toBe(
      expected,
    );
  });

  test("the id with another key: key_binding_failed", () => {
    const verdict = authenticateOperator(request(agent, "alice"), world());
    expect(verdict).toMatchObject({ ok: false, code: "key_binding_failed", status: 401 });
    expect(verdict.ok ? "" : verdict.detail).toContain("cnf.jkt");
  });

  test("a proof is good once", () => {
    const deps = world();
    const sent = request(operatorKey, "alice");
    expect(outcome(authenticateOperator(sent, deps))).toBe("ok");
    expect(outcome(authenticateOperator(sent, deps))).toBe("401 replay_detected");
  });

  test("a lease is not an operator's token", () => {
    expect(outcome(authenticateOperator(request(agent, token), world()))).toBe("401 invalid_operator_token");
  });
});
