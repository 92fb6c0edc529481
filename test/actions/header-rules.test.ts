import { expect, test } from "bun:test";
import { isHeaderValue, requestHeaderFault, responseHeaderFault } from "../../src/actions/header-rules.ts";

test.each([
  "host",
  "content-length",
  "connection",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
  "keep-alive",
  "expect",
  "accept-encoding",
  "proxy-authorization",
  "proxy-connection",
  "proxy-authenticate",
  "http2-settings",
])("the request header %s is the gate's", (name) => {
  expect(requestHeaderFault(name)).toBe(`the header ${name} is set by the gate`);
});

test.each([
  "authorization",
  "cookie",
  "x-api-key",
  "x-amz-security-token",
  "private-token",
  "x-goog-api-key",
  "x-rapidapi-key",
  "x-auth-key",
  "x-hub-signature",
])("the request header %s would carry a credential", (name) => {
  expect(requestHeaderFault(name)).toContain("carries a credential");
});

test.each([
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-original-host",
  "x-rewrite-url",
  "x-host",
  "forwarded",
  "x-forwarded-host",
  "x-forwarded-for",
])("%s would change what was approved", (name) => {
  expect(requestHeaderFault(name)).toContain("behind an approval");
});

test.each(["Accept", "a b", "a:", "", "é", "a".repeat(65), "a\r\nb"])("%j is no header name", (name) => {
  expect(requestHeaderFault(name)).toBe("header names are lower-case tokens");
  expect(responseHeaderFault(name)).toBe("header names are lower-case tokens");
});

test.each(["set-cookie", "set-cookie2", "authorization", "proxy-authenticate"])(
  "the response header %s is never shown",
  (name) => {
    expect(responseHeaderFault(name)).toBe(`the header ${name} is never shown to an agent`);
  },
);

test("ordinary headers and values are fine", () => {
  for (const name of ["accept", "content-type", "user-agent", "x-request-id", "etag", "x-tokens"])
    expect([requestHeaderFault(name), responseHeaderFault(name)]).toEqual([null, null]);
  for (const value of ["", "a", "a b", "text/*;q=0.9, */*;q=0.1"]) expect(isHeaderValue(value)).toBe(true);
  for (const value of [" a", "a ", "a\tb", "a\r\nb", "é", "x".repeat(4097)])
    expect(isHeaderValue(value)).toBe(false);
});
