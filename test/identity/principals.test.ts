import { describe, expect, test } from "bun:test";
import { narrowScopes, PrincipalDirectory, type PrincipalsConfig } from "../../src/identity/index.ts";

function identify(config: PrincipalsConfig, uid: number | null) {
  return new PrincipalDirectory(config).identify(uid === null ? null : { pid: 1, uid, gid: uid });
}

describe("peer credentials", () => {
  test("a mapped account is who the configuration says", () => {
    const uids = {
      "1000": { principal: "ci", tenant: "red", scopes: ["tools:call"], max_calls: 5, owner: "alice" },
    };
    expect(identify({ uids }, 1000)).toEqual({
      ok: true,
      identity: {
        principal: "ci",
        tenant: "red",
        scopes: ["tools:call"],
        maxCalls: 5,
        owner: "alice",
        method: "peercred",
      },
    });
  });

  test("by default it is named for its uid, in the default tenant, unrestricted", () => {
    expect(identify({ uids: { "1000": {} } }, 1000)).toMatchObject({
      identity: { principal: "uid:1000", tenant: "default", scopes: [], maxCalls: null, owner: null },
    });
  });

  test("an account without an entry is refused", () => {
    expect(identify({ uids: { "1000": {} } }, 1001)).toMatchObject({
      code: "identity_forbidden",
      status: 403,
    });
    expect(identify({ uids: {} }, 1000)).toMatchObject({ ok: false });
  });

  test("unless that is allowed, but never for root nor for accounts without a number", () => {
    const config = { uids: {}, allow_unmapped: true };
    expect(identify(config, 1001)).toMatchObject({
      identity: { principal: "uid:1001", method: "peercred:unmapped" },
    });
    expect(identify(config, 0)).toMatchObject({ code: "identity_forbidden" });
    expect(identify(config, 65_534)).toMatchObject({ code: "identity_forbidden" });
  });

  test("root is known when it is mapped", () => {
    expect(identify({ uids: { "0": {} } }, 0)).toMatchObject({ identity: { principal: "uid:0" } });
  });

  test("a transport without peer credentials identifies nobody", () => {
    expect(identify({ uids: {}, allow_unmapped: true }, null)).toMatchObject({
      code: "identity_unauthenticated",
      status: 401,
    });
  });

  test.each<[string, PrincipalsConfig["uids"], string]>([
    ["a name for a uid", { alice: {} }, "is not a uid"],
    ["a uid with a leading zero", { "01000": {} }, "is not a uid"],
    ["the uid that means none", { "4294967295": {} }, "is not a uid"],
    ["the overflow uid", { "65534": {} }, "other user namespaces"],
    ["everyone", { "1000": { principal: "*" } }, "not a principal's name"],
    ["another's uid", { "1000": { principal: "uid:0" } }, "may not use a name"],
    ["an enrolled agent", { "1000": { principal: "agent:x" } }, "may not use a name"],
    ["an OIDC subject", { "1000": { principal: "oidc:https://i:s" } }, "may not use a name"],
    ["a bad tenant", { "1000": { tenant: "" } }, "has a tenant"],
    ["a bad scope", { "1000": { scopes: ["all"] } }, "has a scope"],
    ["a negative budget", { "1000": { max_calls: -1 } }, "has a max_calls"],
    ["an owner with a line feed", { "1000": { owner: "a\nb" } }, "has an owner"],
  ])("%s: refused", (_name, uids, message) => {
    expect(() => new PrincipalDirectory({ uids })).toThrow(message);
  });
});

describe("scopes", () => {
  test.each([
    [["tools:call"], [], ["tools:call"]],
    [["tools:call", "tools:call", "audit:read"], [], ["tools:call", "audit:read"]],
    [["tools:call", "audit:read"], ["audit:read", "x:yz"], ["audit:read"]],
    [["a::b"], [], ["a::b"]],
  ])("%p of %p gives %p", (requested, allowed, scopes) => {
    expect(narrowScopes(requested, allowed)).toEqual({ ok: true, scopes });
  });

  test.each<[string[], string[], string]>([
    [[], [], "invalid_request"],
    [[], ["tools:call"], "scope_not_permitted"],
    [["audit:read"], ["tools:call"], "scope_not_permitted"],
    [["tools"], [], "invalid_request"],
    [["tools:"], [], "invalid_request"],
    [["Tools:call"], [], "invalid_request"],
    [["1ools:call"], [], "invalid_request"],
    [["a:b"], [], "invalid_request"],
    [[`a:${"b".repeat(63)}`], [], "invalid_request"],
    [["tools:call\n"], [], "invalid_request"],
    [Array.from({ length: 33 }, (_, i) => `s:scope${i}`), [], "invalid_request"],
  ])("%p of %p: %s", (requested, allowed, code) => {
    expect(narrowScopes(requested, allowed)).toMatchObject({ ok: false, code });
  });
});
