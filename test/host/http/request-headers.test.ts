import { afterAll, describe, expect, test } from "bun:test";
import type { Header } from "../../../src/core/plan.ts";
import { createHost } from "../../../src/host/index.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";

// Headers are judged before the address: one that is not public keeps allowed ones from leaving.
const host = createHost({ testing: { resolve: async () => [{ address: "10.0.0.1", ttl: 60 }] } });
afterAll(() => host.close());

/** Null when the headers passed. */
async function codeOf(headers: readonly Header[]): Promise<string | null> {
  const plan = httpPlan({ headers });
  const door = host.door(doorRequest(plan));
  await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  expect(effect?.reached).toBe("none");
  return effect?.error === "address_not_public" ? null : (effect?.error ?? "no error");
}

const ALLOWED = [
  ["accept", "application/vnd.github+json"],
  ["content-type", "application/json; charset=utf-8"],
  ["user-agent", "latchgate"],
  ["x-github-api-version", "2022-11-28"],
  ["idempotency-key", "k-1"],
  ["if-match", '"etag"'],
  ["x-author", "caf\u00e9\tname"],
  ["x-empty", ""],
  ["tokenizer", "plain word"],
] as const;

test("ordinary headers pass", async () => {
  expect(await codeOf(ALLOWED)).toBeNull();
  for (const header of ALLOWED) expect([header, await codeOf([header])]).toEqual([header, null]);
});

const FRAMING =
  "host content-length connection transfer-encoding upgrade te trailer keep-alive expect accept-encoding " +
  "http2-settings proxy-authorization proxy-authenticate proxy-connection proxy-anything";
const REWRITES =
  "x-http-method x-http-method-override x-method-override x-original-url x-rewrite-url x-original-host x-host " +
  "forwarded x-forwarded-host x-forwarded-server x-forwarded-for x-forwarded-proto x-forwarded-port " +
  "x-forwarded-prefix";
const CREDENTIALS =
  "authorization x-authorization cookie cookie2 set-cookie set-cookie2 x-api-key api-key apikey x-apikey " +
  "x-auth-token x-access-token x-amz-security-token x-amz-session-token private-token job-token deploy-token " +
  "x-goog-api-key x-vault-token x-consul-token x-csrf-token dd-api-key dd-application-key x-auth-key " +
  "ocp-apim-subscription-key x-shopify-access-token x-figma-token x-rapidapi-key x-functions-key x-master-key " +
  "x-admin-key x-access-key x-account-key x-client-secret x-hasura-admin-secret x-password x-passwd " +
  "x-credential x-credentials x-hub-signature x-slack-signature x-jwt-assertion";

describe.each([
  ["frames or routes the request", FRAMING],
  ["makes another request of it behind the origin's front", REWRITES],
  ["carries a credential", CREDENTIALS],
])("a header that %s is refused", (_what, names) => {
  test.each(names.split(" "))("%s", async (name) => {
    expect(await codeOf([[name, "x"]])).toBe("header_not_allowed");
    expect(await codeOf([...ALLOWED, [name, ""]])).toBe("header_not_allowed");
  });

  test.each(names.split(" "))("%s in upper case", async (name) => {
    expect(await codeOf([[name.toUpperCase(), "x"]])).toBe("header_not_allowed");
  });
});

test.each([
  "",
  "Accept",
  "a b",
  "a:b",
  ":authority",
  "a\r\nb",
  "a\nb",
  "a\u0000",
  "a\u007f",
  "caf\u00e9",
  " a",
  "a ",
])("the name %j could reframe a request, and is refused", async (name) => {
  expect(await codeOf([[name, "x"]])).toBe("header_not_allowed");
});

test.each([
  "a\r\nb: c",
  "a\nb",
  "a\rb",
  "a\r\n b",
  "a\u0000",
  "a\u001b[2J",
  "a\u007f",
  "\u0100",
  "\u{1f600}",
  "\u2028",
])("the value %j could reframe a request, and is refused", async (value) => {
  expect(await codeOf([["x-a", value]])).toBe("header_not_allowed");
});

test("lists are capped in number and size", async () => {
  const many = (count: number): Header[] => Array.from({ length: count }, (_, i) => [`x-${i}`, "1"]);
  expect([await codeOf(many(64)), await codeOf(many(65))]).toEqual([null, "header_not_allowed"]);
  const large = (bytes: number): Header[] => [["x-a", "a".repeat(bytes - 7)]];
  expect([await codeOf(large(16_384)), await codeOf(large(16_385))]).toEqual([null, "header_not_allowed"]);
  const spread = (bytes: number): Header[] => [...large(bytes - 100), ...large(100)];
  expect([await codeOf(spread(16_384)), await codeOf(spread(16_385))]).toEqual([null, "header_not_allowed"]);
});
