import { expect, test } from "bun:test";
import fc from "fast-check";
import { isDomainPattern, parseMailAddress } from "../../src/core/mail-address.ts";

test.each([
  ["ann@example.com", "ann", "example.com"],
  ["Ann.Smith+tag@EXAMPLE.Com", "Ann.Smith+tag", "example.com"],
  ["a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"],
  ["o'neil@mail.example.co.uk", "o'neil", "mail.example.co.uk"],
])("%s is one mailbox", (text, local, domain) => {
  expect(parseMailAddress(text)).toEqual({ local, domain });
});

test.each([
  "",
  "@example.com",
  "ann",
  "ann@",
  "ann@localhost",
  "ann@example",
  "ann@example.123",
  "ann@127.0.0.1",
  "ann@[127.0.0.1]",
  "ann@[IPv6:::1]",
  "ann@@example.com",
  "ann@evil.example@example.com",
  "ann@example.com,bob@example.com",
  "ann@example.com;bob@example.com",
  "ann smith@example.com",
  '"ann"@example.com',
  '"ann@evil.example"@example.com',
  "ann(comment)@example.com",
  "Ann <ann@example.com>",
  "<ann@example.com>",
  "@relay.example:ann@example.com",
  "friends:ann@example.com;",
  ".ann@example.com",
  "ann.@example.com",
  "a..b@example.com",
  "ann@.example.com",
  "ann@example..com",
  "ann@example.com.",
  "ann@-example.com",
  "ann@exam_ple.com",
  "ann@example.com\r\n",
  "ann@example.com\nbcc:eve@evil.example",
  "ann\0@example.com",
  "ann@exam\u200bple.com",
  "ann@b\u00fccher.example",
  "\u212ann@example.com",
  "ann@boo\u212a.example",
  "ann@example.com\u3002evil.example",
  `${"a".repeat(65)}@example.com`,
  `a@${"a".repeat(64)}.com`,
  `a@${"a.".repeat(125)}example`,
])("%j is not", (text) => {
  expect(parseMailAddress(text)).toBeNull();
});

test("what is read has one at-sign, no character of its own meaning in SMTP, and is read alike again", () => {
  const parts = fc.constantFrom(
    "a",
    "b.",
    "@",
    "example.com",
    "<",
    ">",
    ",",
    ";",
    ":",
    " ",
    '"',
    "\\",
    "\r",
    "\n",
    "é",
    "\0",
    ".",
    "-",
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 8 }), (some) => {
      const text = some.join("");
      const found = parseMailAddress(text);
      if (found === null) return;
      expect(text).toMatch(/^[^\s@<>,;:"\\()[\]]+@[a-zA-Z0-9.-]+$/);
      expect(parseMailAddress(`${found.local}@${found.domain}`)).toEqual(found);
    }),
    { seed: 5, numRuns: 3000 },
  );
});

test.each([
  ["example.com", true],
  ["*.example.com", true],
  ["*", false],
  ["*.com", false],
  ["*.*.example.com", false],
  ["Example.com", false],
  ["example.com.", false],
  ["", false],
])("as a domain pattern %s is %p", (text, good) => {
  expect(isDomainPattern(text)).toBe(good);
});
