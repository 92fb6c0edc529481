import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Answer, closeFronts, converse, openFront, RawClient } from "./raw-client.ts";

let path = "";
let handled = 0;

beforeAll(async () => {
  const opened = await openFront(
    async (request, response) => {
      handled++;
      const body = await request.body();
      response.json(200, {
        method: request.method,
        path: request.path,
        query: request.query,
        bytes: body.length,
      });
    },
    { limits: { lingerMs: 50, bodyBytes: 1000 } },
  );
  path = opened.path;
});
afterAll(closeFronts);

const H = "Host: localhost\r\n";
const CHUNKED = "3\r\nabc\r\n0\r\n\r\n";

function expectRefusal(answers: readonly Answer[], status: number, code: string): void {
  expect(answers.map((answer) => answer.status)).toEqual([status]);
  for (const { headers, body } of answers) {
    const parsed = JSON.parse(body) as Record<string, unknown>;
    expect(parsed.error).toBe(code);
    expect(typeof parsed.message).toBe("string");
    expect(headers.get("content-type")).toBe("application/json");
    expect(headers.get("connection")).toBe("close");
  }
}

const refusals: [string, string, number, string][] = [
  ["HTTP/1.0", `GET / HTTP/1.0\r\n${H}\r\n`, 505, "http_version_not_supported"],
  ["HTTP/0.9", "GET /\r\n\r\n", 505, "http_version_not_supported"],
  ["HTTP/1.2", `GET / HTTP/1.2\r\n${H}\r\n`, 505, "http_version_not_supported"],
  ["the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"],
  ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "bad_request"],
  ["noise", "hello\r\n\r\n", 400, "bad_request"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400, "bad_request"],
  ["two Hosts", `GET / HTTP/1.1\r\n${H}Host: evil\r\n\r\n`, 400, "bad_request"],
  ["two equal Hosts", `GET / HTTP/1.1\r\n${H}${H}\r\n`, 400, "bad_request"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_request"],
  ["a Host with user information", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_request"],
  ["two Hosts in one", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad_request"],
  ["absolute-form", `GET http://localhost/a HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["authority-form", `GET localhost:80 HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["asterisk-form", `OPTIONS * HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a fragment", `GET /a#b HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a backslash", `GET /a\\b HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a stray percent sign", `GET /a%2 HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a control character in the target", `GET /a\x01 HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a byte above 127 in the target", `GET /\xe9 HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["TRACE", `TRACE / HTTP/1.1\r\n${H}\r\n`, 405, "method_not_allowed"],
  ["CONNECT", `CONNECT localhost:80 HTTP/1.1\r\n${H}\r\n`, 405, "method_not_allowed"],
  ["PROPFIND", `PROPFIND / HTTP/1.1\r\n${H}\r\n`, 405, "method_not_allowed"],
  ["an unknown method", `FETCH / HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["a method in lower case", `get / HTTP/1.1\r\n${H}\r\n`, 400, "bad_request"],
  ["Upgrade", `GET / HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, 400, "bad_request"],
  [
    "Upgrade to h2c with a body",
    `POST / HTTP/1.1\r\n${H}Upgrade: h2c\r\nContent-Length: 3\r\n\r\nabc`,
    400,
    "bad_request",
  ],
  [
    "Expect",
    `POST / HTTP/1.1\r\n${H}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`,
    417,
    "expectation_failed",
  ],
  [
    "another Expect",
    `POST / HTTP/1.1\r\n${H}Expect: x\r\nContent-Length: 3\r\n\r\nabc`,
    417,
    "expectation_failed",
  ],
  ["GET with a body", `GET / HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabc`, 400, "bad_request"],
  [
    "GET with chunks",
    `GET / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
    400,
    "bad_request",
  ],
  [
    "gzip, chunked",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n${CHUNKED}`,
    501,
    "transfer_encoding_unsupported",
  ],
  [
    "gzip alone",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip\r\n\r\nabc`,
    501,
    "transfer_encoding_unsupported",
  ],
  [
    "chunked twice",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
    400,
    "bad_request",
  ],
  [
    "a length and chunks",
    `POST / HTTP/1.1\r\n${H}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
    400,
    "bad_request",
  ],
  [
    "chunks and a length",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n${CHUNKED}`,
    400,
    "bad_request",
  ],
  [
    "two lengths",
    `POST / HTTP/1.1\r\n${H}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`,
    400,
    "bad_request",
  ],
  [
    "two equal lengths",
    `POST / HTTP/1.1\r\n${H}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
    400,
    "bad_request",
  ],
  ["a list of lengths", `POST / HTTP/1.1\r\n${H}Content-Length: 3, 3\r\n\r\nabc`, 400, "bad_request"],
  ["a signed length", `POST / HTTP/1.1\r\n${H}Content-Length: +3\r\n\r\nabc`, 400, "bad_request"],
  ["a length in hex", `POST / HTTP/1.1\r\n${H}Content-Length: 0x3\r\n\r\nabc`, 400, "bad_request"],
  ["a bare line feed", `GET / HTTP/1.1\n${H}\n`, 505, "http_version_not_supported"],
  ["a bare line feed after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "bad_request"],
  ["a bare carriage return", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, "bad_request"],
  ["a folded header", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400, "bad_request"],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "bad_request"],
  ["a NUL in a header", `GET / HTTP/1.1\r\n${H}X: a\0b\r\n\r\n`, 400, "bad_request"],
  ["headers too large", `GET / HTTP/1.1\r\n${H}X: ${"x".repeat(17_000)}\r\n\r\n`, 431, "headers_too_large"],
  ["too many headers", `GET / HTTP/1.1\r\n${H}${"a: b\r\n".repeat(100)}\r\n`, 431, "headers_too_large"],
  ["a target too long", `GET /${"x".repeat(8200)} HTTP/1.1\r\n${H}\r\n`, 414, "uri_too_long"],
  ["a length over the cap", `POST / HTTP/1.1\r\n${H}Content-Length: 1001\r\n\r\n`, 413, "payload_too_large"],
  [
    "an absurd length",
    `POST / HTTP/1.1\r\n${H}Content-Length: 99999999999999999999999\r\n\r\n`,
    400,
    "bad_request",
  ],
  [
    "a bad chunk size",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n`,
    400,
    "bad_request",
  ],
  [
    "a negative chunk size",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n`,
    400,
    "bad_request",
  ],
  [
    "a chunk longer than it says",
    `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n`,
    400,
    "bad_request",
  ],
];

describe("refused before any handler sees it, in JSON, and the connection ends", () => {
  test.each(refusals)("%s, at once", async (_name, bytes, status, code) => {
    const before = handled;
    expectRefusal(await converse(path, bytes), status, code);
    expect(handled).toBe(before);
  });

  test.each(refusals.filter(([, bytes]) => bytes.length < 400))(
    "%s, byte by byte",
    async (_name, bytes, status, code) => {
      const client = await RawClient.open(path);
      client.socket.setNoDelay(true);
      for (const byte of bytes) client.send(byte);
      expectRefusal(await client.untilEnd(), status, code);
    },
  );
});

describe("a body over the cap", () => {
  test("in one chunk: 413", async () => {
    const head = `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`;
    expectRefusal(
      await converse(path, `${head}3e9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`),
      413,
      "payload_too_large",
    );
  });

  test("in a stream without an end: 413, and the connection is cut", async () => {
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 20; i++) client.send(`64\r\n${"x".repeat(100)}\r\n`);
    expectRefusal(await client.untilEnd(), 413, "payload_too_large");
  });

  test("at the cap: taken", async () => {
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Content-Length: 1000\r\n\r\n${"x".repeat(1000)}`);
    const [answer] = await client.answers(1);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ bytes: 1000 });
    client.socket.destroy();
  });
});

describe("a request that ends early, from a client that still listens", () => {
  test.each([
    ["in its first line", "GET / HT"],
    ["in its headers", `GET / HTTP/1.1\r\n${H}`],
    ["in its body", `POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nab`],
    ["in its chunks", `POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n3\r\nab`],
  ])("%s: 400", async (_name, bytes) => {
    const client = await RawClient.open(path);
    client.socket.end(bytes);
    expectRefusal(await client.untilEnd(), 400, "bad_request");
  });
});
