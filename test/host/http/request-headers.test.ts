import { expect, test } from "bun:test";
import type { Header } from "../../../src/core/plan.ts";
import { HostFailure } from "../../../src/host/failure.ts";
import { checkRequestHeaders } from "../../../src/host/http/request-headers.ts";

function codeOf(headers: readonly Header[]): string | null {
  try {
    checkRequestHeaders(headers);
    return null;
  } catch (thrown) {
    if (thrown instanceof HostFailure) return thrown.code;
    throw thrown;
  }
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

test("ordinary headers pass", () => {
  expect(codeOf(ALLOWED)).toBeNull();
});

const RESERVED =
  "host content-length connection transfer-encoding upgrade te trailer keep-alive expect accept-encoding " +
  "proxy-authorization proxy-connection http2-settings x-http-method-override x-method-override x-original-url";
const CREDENTIALS =
  "authorization cookie cookie2 set-cookie x-api-key api-key apikey x-apikey x-auth-token x-access-token " +
  "x-amz-security-token x-amz-session-token private-token job-token x-goog-api-key x-vault-token dd-api-key " +
  "dd-application-key ocp-apim-subscription-key x-shopify-access-token x-authorization x-client-secret " +
  "x-auth-key x-hub-signature";

for (const name of `${RESERVED} ${CREDENTIALS}`.split(" "))
  test(`the header ${name} is refused`, () => {
    expect(codeOf([[name, "x"]])).toBe("header_not_allowed");
  });

test("names and values that could reframe a request are refused", () => {
  for (const name of ["", "Accept", "a b", "a:b", "a\r\nb", "a\u0000", "caf\u00e9", " a"])
    expect([name, codeOf([[name, "x"]])]).toEqual([name, "header_not_allowed"]);
  for (const value of ["a\r\nb: c", "a\nb", "a\rb", "a\u0000", "a\u007f", "\u0100", "\u{1f600}", "\u2028"])
    expect([value, codeOf([["x-a", value]])]).toEqual([value, "header_not_allowed"]);
});

test("lists are capped in number and size", () => {
  const many = (count: number): Header[] => Array.from({ length: count }, (_, i) => [`x-${i}`, "1"]);
  expect([codeOf(many(64)), codeOf(many(65))]).toEqual([null, "header_not_allowed"]);
  const large = (bytes: number): Header[] => [["x-a", "a".repeat(bytes - 7)]];
  expect([codeOf(large(16_384)), codeOf(large(16_385))]).toEqual([null, "header_not_allowed"]);
});
