import { expect, test } from "bun:test";
import fc from "fast-check";
import { hostMatches, parseTargetUrl, UrlError, type UrlFault } from "../../src/core/url.ts";

function fault(text: string): UrlFault | "accepted" {
  try {
    parseTargetUrl(text);
    return "accepted";
  } catch (thrown) {
    if (thrown instanceof UrlError) return thrown.fault;
    throw thrown;
  }
}

test.each([
  ["https://api.example.com", "https://api.example.com/", "api.example.com", 443],
  ["HTTPS://API.Example.COM/a", "https://api.example.com/a", "api.example.com", 443],
  ["https://example.com./a?b=c#d", "https://example.com/a?b=c", "example.com", 443],
  ["https://example.com:443/", "https://example.com/", "example.com", 443],
  ["https://example.com:8443/", "https://example.com:8443/", "example.com", 8443],
  ["http://example.com:80/x", "http://example.com/x", "example.com", 80],
  ["https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443],
  ["https://ｅｘａｍｐｌｅ.com/", "https://example.com/", "example.com", 443],
  ["https://%65xample.com/", "https://example.com/", "example.com", 443],
  ["https://2130706433/", "https://127.0.0.1/", "127.0.0.1", 443],
  ["https://0x7f.1/", "https://127.0.0.1/", "127.0.0.1", 443],
  ["https://0177.0.0.1/", "https://127.0.0.1/", "127.0.0.1", 443],
  ["https://127.0.0.1./", "https://127.0.0.1/", "127.0.0.1", 443],
  ["https://[::1]:444/", "https://[::1]:444/", "::1", 444],
  ["https://[::FFFF:127.0.0.1]/", "https://[::ffff:7f00:1]/", "::ffff:7f00:1", 443],
  ["https://example.com/a/../b/%2e%2e/c", "https://example.com/c", "example.com", 443],
  ["https://example.com/a%2fb%2Fc", "https://example.com/a%2fb%2Fc", "example.com", 443],
  ["https://example.com?q", "https://example.com/?q", "example.com", 443],
])("%j is %s", (text, href, host, port) => {
  const url = parseTargetUrl(text);
  expect([url.href, url.host, url.port]).toEqual([href, host, port]);
  expect(url.origin + url.path + url.query).toBe(href);
});

test.each([
  ["", "not_a_url"],
  ["example.com", "not_a_url"],
  ["//example.com/", "not_a_url"],
  ["https:/example.com/", "scheme"],
  ["https:example.com", "scheme"],
  ["https:///example.com/", "not_a_url"],
  ["ftp://example.com/", "scheme"],
  ["javascript:alert(1)", "scheme"],
  ["file:///etc/passwd", "scheme"],
  ["https://user@example.com/", "userinfo"],
  ["https://user:pass@example.com/", "userinfo"],
  ["https://@example.com/", "userinfo"],
  ["https://evil.com\\@example.com/", "characters"],
  ["https://example.com\\a", "characters"],
  [" https://example.com/", "characters"],
  ["https://example.com/a b", "characters"],
  ["https://exam\tple.com/", "characters"],
  ["https://example.com/\n", "characters"],
  ["https://example.com/\u200b", "characters"],
  ["https://example.com/\ud800", "characters"],
  ["https://exa%00mple.com/", "not_a_url"],
  ["https://example.com:0/", "host"],
  ["https://example.com:65536/", "not_a_url"],
  ["https://example.com:https/", "not_a_url"],
  ["https://example..com/", "host"],
  ["https://example.com../", "host"],
  ["https://-a.com/", "host"],
  [`https://${"a".repeat(64)}.com/`, "host"],
  ["https://[fe80::1%25eth0]/", "not_a_url"],
  ["https://256.256.256.256/", "not_a_url"],
  ["https://1.2.3.4.5/", "not_a_url"],
  [`https://example.com/${"a".repeat(8192)}`, "too_long"],
] as [string, UrlFault][])("%j is refused as %s", (text, code) => {
  expect(fault(text)).toBe(code);
});

test("messages never repeat the url", () => {
  for (const text of ["https://user:hunter2@example.com/", "hunter2", "https://hunter2 /", "hunter2://x"])
    try {
      parseTargetUrl(text);
      throw new Error("accepted");
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(UrlError);
      expect(String(thrown)).not.toContain("hunter2");
    }
});

test("the text after an at sign in the path is no host", () => {
  expect(parseTargetUrl("https://EVIL.com/@api.github.com").host).toBe("evil.com");
});

test("property: the normal form is its own normal form, and the platform parser agrees on the host", () => {
  const urls = fc.webUrl({ withQueryParameters: true, validSchemes: ["http", "https"] });
  fc.assert(
    fc.property(urls, (text) => {
      const once = parseTargetUrl(text);
      expect(parseTargetUrl(once.href)).toEqual(once);
      expect(new URL(text).hostname).toBe(once.host);
    }),
    { seed: 1 },
  );
});

test.each([
  ["example.com", "example.com", true],
  ["example.com", "api.example.com", false],
  ["example.com", "evilexample.com", false],
  ["*.example.com", "api.example.com", true],
  ["*.example.com", "a.b.example.com", true],
  ["*.example.com", "example.com", false],
  ["*.example.com", "evilexample.com", false],
  ["*.0.0.1", "127.0.0.1", false],
  ["example.com", "example.com.", false],
  ["*.example.com", "api.example.com.", false],
  ["example.com", "EXAMPLE.com", false],
  ["*.example.com", "example.com.evil.test", false],
  ["*.", "example.com", false],
  ["*", "example.com", false],
  ["", "", false],
  ["127.0.0.1", "127.0.0.1", true],
])("pattern %j on %j is %p", (pattern, host, covered) => {
  expect(hostMatches(pattern, host)).toBe(covered);
});
