import { describe, expect, test } from "bun:test";
import type { JsonObject } from "../../src/core/json.ts";
import { type MailConnection, NO_CONNECTIONS } from "../../src/core/plan/connections.ts";
import { actionOf, parse, smtpText } from "./manifests.ts";

const OFFICE: MailConnection = {
  server: { host: "mail.example.com", port: 587, user: "gate", tls: "verify", start: "starttls" },
  from: "gate@example.com",
  domains: null,
  secret: "MAIL_PASSWORD",
  ca: null,
};

function planned(params: JsonObject, changes: JsonObject = {}, connection: Partial<MailConnection> = {}) {
  const mail = new Map([["office", { ...OFFICE, ...connection }]]);
  const smtp = { ...SECTION, ...changes };
  const text = smtpText({ smtp: Object.fromEntries(Object.entries(smtp).filter(([, v]) => v !== null)) });
  const action = actionOf(text);
  return action.plan(params, { fsRoot: null, connections: { ...NO_CONNECTIONS, mail } });
}

const SECTION: JsonObject = {
  connection: "office",
  to: { $param: "to" },
  subject: { $param: "subject" },
  text: { $param: "text" },
  headers: { "x-ticket": { $param: "ticket" } },
  domains: ["example.com", "*.example.org"],
};
const MESSAGE = { to: ["ann@example.com"], subject: "hello", text: "a line" };
const code = (result: ReturnType<typeof planned>) => (result.ok ? "ok" : result.code);

test("a message is planned with the facts of its connection", () => {
  const result = planned({ ...MESSAGE, ticket: "T-1" });
  if (!result.ok) throw new Error(result.message);
  expect(result.plan).toEqual({
    kind: "mail",
    connection: "office",
    server: OFFICE.server,
    from: "gate@example.com",
    to: ["ann@example.com"],
    cc: [],
    bcc: [],
    subject: "hello",
    text: "a line",
    html: null,
    headers: [["x-ticket", "T-1"]],
    secret: "MAIL_PASSWORD",
  });
});

describe("recipients", () => {
  test.each([
    [["ann@example.com"], "ok"],
    [["ann@EXAMPLE.com"], "ok"],
    [["ann@a.example.org", "bob@b.a.example.org"], "ok"],
    [["ann@example.org"], "recipient_not_allowed"],
    [["ann@notexample.org"], "recipient_not_allowed"],
    [["ann@sub.example.com"], "recipient_not_allowed"],
    [["ann@example.com.evil.example"], "recipient_not_allowed"],
    [["ann@example.com", "eve@evil.example"], "recipient_not_allowed"],
    [["ann@example.com,eve@evil.example"], "recipient_invalid"],
    [["eve@evil.example@example.com"], "recipient_invalid"],
    [["ann@example.com", "ann@EXAMPLE.COM"], "recipient_invalid"],
    [[], "recipient_invalid"],
    [Array.from({ length: 11 }, (_, i) => `a${i}@example.com`), "recipient_invalid"],
  ])("%j: %s", (to, wanted) => {
    expect(code(planned({ ...MESSAGE, to }))).toBe(wanted);
  });

  test.each(["cc", "bcc"])("of %s are held to the same", (list) => {
    expect(code(planned(MESSAGE, { [list]: ["bob@example.com"] }))).toBe("ok");
    expect(code(planned(MESSAGE, { [list]: ["eve@evil.example"] }))).toBe("recipient_not_allowed");
    expect(code(planned(MESSAGE, { [list]: ["ann@example.com"] }))).toBe("recipient_invalid");
  });

  test("the manifest and the connection must both list a domain that either lists", () => {
    expect(code(planned(MESSAGE, {}, { domains: ["example.com"] }))).toBe("ok");
    expect(code(planned(MESSAGE, {}, { domains: ["example.net"] }))).toBe("recipient_not_allowed");
    expect(code(planned(MESSAGE, { domains: null }, { domains: ["example.com"] }))).toBe("ok");
    expect(code(planned(MESSAGE, { domains: null }))).toBe("recipient_not_allowed");
  });
});

test.each([
  [{ subject: "hello\r\nbcc: eve@evil.example" }, "invalid_content"],
  [{ subject: "hello\u2028bcc" }, "invalid_content"],
  [{ subject: "" }, "invalid_content"],
  [{ text: "a\0b" }, "invalid_content"],
  [{ text: "a\u001b[2J" }, "invalid_content"],
  [{ text: "a\ttab\r\nand a line" }, "ok"],
  [{ text: "x".repeat(64 * 1024) }, "request_too_large"],
  [{ ticket: "a\r\nbcc: eve@evil.example" }, "header_invalid"],
])("%j: %s", (changes, wanted) => {
  expect(code(planned({ ...MESSAGE, ...changes }))).toBe(wanted);
});

test("a connection that the configuration lacks is told", () => {
  expect(code(planned(MESSAGE, { connection: "elsewhere" }))).toBe("connection_missing");
});

test.each([
  [{ to: ["a@b"] }, "smtp.to.0"],
  [{ domains: ["*"] }, "smtp.domains.0"],
  [{ headers: { bcc: "eve@evil.example" } }, "smtp.headers.bcc"],
  [{ headers: { "x-a": "a\nb" } }, "smtp.headers.x-a"],
  [{ text: undefined }, "smtp.text"],
  [{ from: "boss@example.com" }, "smtp.from"],
  [{ attachments: [] }, "smtp.attachments"],
])("%j has no place in a manifest", (changes, path) => {
  const smtp = Object.fromEntries(
    Object.entries({ ...SECTION, ...changes }).filter(([, v]) => v !== undefined),
  );
  const result = parse(smtpText({ smtp }));
  expect(result.ok ? [] : result.problems.map((problem) => problem.path)).toContain(path);
});

test("a weaker manifest of the same id must say why", async () => {
  const { weakenings } = await import("../../src/actions/override.ts");
  const manifest = (changes: JsonObject) => {
    const result = parse(smtpText({ smtp: { ...SECTION, ...changes } }));
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.manifest;
  };
  const before = manifest({});
  expect(weakenings(before, before)).toEqual([]);
  expect(weakenings(before, manifest({ domains: ["example.com"] }))).toEqual([]);
  for (const wider of [
    { domains: ["example.com", "evil.example"] },
    { max_recipients: 50 },
    { connection: "other" },
    { bcc: ["archive@example.com"] },
  ])
    expect(weakenings(before, manifest(wider))).toHaveLength(1);
});
