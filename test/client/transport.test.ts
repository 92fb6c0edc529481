import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { dialPath, parseEndpoint } from "../../src/client/endpoint.ts";
import { exchange } from "../../src/client/transport.ts";
import { Bench } from "./bench.ts";
import { FakeGate } from "./fake-gate.ts";

const GET = { method: "GET", target: "/readyz", headers: {}, body: null, timeoutMs: 5_000 } as const;

describe("an address", () => {
  const good: [string, ReturnType<typeof parseEndpoint>][] = [
    ["/run/latchgate/gate.sock", { kind: "unix", path: "/run/latchgate/gate.sock" }],
    ["unix:///run/a%20b.sock", { kind: "unix", path: "/run/a b.sock" }],
    ["http://localhost:3000", { kind: "loopback", origin: "http://localhost:3000" }],
    ["http://127.0.0.1:3000/", { kind: "loopback", origin: "http://127.0.0.1:3000" }],
    ["http://[::1]:3000", { kind: "loopback", origin: "http://[::1]:3000" }],
    ["HTTP://LOCALHOST", { kind: "loopback", origin: "http://localhost" }],
  ];
  for (const [text, endpoint] of good)
    test(`${text} is understood`, () => expect(parseEndpoint(text)).toEqual(endpoint));

  const bad = [
    "gate.sock",
    "http://example.com",
    "http://localhost.example.com",
    "http://localhost@example.com",
    "http://127.0.0.1.example.com",
    "https://localhost:3000",
    "http://localhost:3000/path",
    "http://localhost:99999",
    "unix://host/path",
    "unix:gate.sock",
    "ftp://localhost",
    "http://localhost:80\n",
  ];
  for (const text of bad)
    test(`${JSON.stringify(text)} is refused`, () => {
      expect(() => parseEndpoint(text)).toThrow(expect.objectContaining({ code: "gate_address" }));
    });
});

describe("an exchange", () => {
  let bench: Bench;
  let raw: Server | null = null;
  beforeEach(async () => {
    bench = await new Bench().start();
  });
  afterEach(async () => {
    raw?.close();
    raw = null;
    await bench.stop();
  });

  /** A listener that answers each connection's first bytes with the text and closes. */
  async function answering(text: string | null): Promise<{ kind: "unix"; path: string }> {
    const path = join(bench.dir, "raw.sock");
    raw = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => (text === null ? undefined : socket.end(text)));
    });
    await new Promise<void>((done) => raw?.listen(path, done));
    return { kind: "unix", path };
  }

  test("works over a socket whose path is too long for connect(2)", async () => {
    const deep = join(bench.dir, "d".repeat(100), "e".repeat(100));
    mkdirSync(deep, { recursive: true });
    const path = join(deep, "gate.sock");
    const dial = dialPath(path);
    raw = createServer((socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")),
    );
    await new Promise<void>((done) => raw?.listen(dial.path, done));
    dial.close();
    const answer = await exchange({ kind: "unix", path }, GET);
    expect([answer.status, Buffer.from(answer.body).toString()]).toEqual([200, "{}"]);
  });

  test("says so when the file name alone is too long", () => {
    expect(() => dialPath(join(bench.dir, "s".repeat(120)))).toThrow(
      expect.objectContaining({ code: "gate_address" }),
    );
  });

  test("works over loopback and goes past a proxy that the environment names", async () => {
    const gate = new FakeGate();
    gate.on("GET /readyz", { status: 200, body: { status: "ready" } });
    const real = await gate.listen({ port: 0 });
    const ended = await bench.run(["healthcheck"], {
      env: {
        LATCHGATE_URL: `http://127.0.0.1:${real}`,
        HTTP_PROXY: "http://127.0.0.1:9",
        http_proxy: "http://127.0.0.1:9",
      },
    });
    await gate.close();
    expect(ended).toEqual({ code: 0, stdout: "ready\n", stderr: "" });
  });

  for (const [why, path] of [
    ["there is no socket", "none.sock"],
    ["a folder on the way is missing", "no/such/folder.sock"],
  ] as const)
    test(`was not sent when ${why}`, async () => {
      const error = exchange({ kind: "unix", path: join(bench.dir, path) }, GET);
      await expect(error).rejects.toMatchObject({ code: "gate_unreachable", sent: false });
    });

  test("was not sent when nobody listens on the socket any more", async () => {
    const path = join(bench.dir, "plain-file");
    await Bun.write(path, "");
    await expect(exchange({ kind: "unix", path }, GET)).rejects.toMatchObject({
      code: "gate_unreachable",
      sent: false,
    });
  });

  test("was not sent when nothing listens on the port", async () => {
    const error = exchange({ kind: "loopback", origin: "http://127.0.0.1:9" }, GET);
    await expect(error).rejects.toMatchObject({ code: "gate_unreachable", sent: false });
  });

  for (const [why, text] of [
    ["closed at once", ""],
    ["not http", "hello\r\n\r\n"],
    ["cut off in the headers", "HTTP/1.1 200 OK\r\ncontent-le"],
    ["cut off in the body", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"],
  ] as const)
    test(`may have been sent when the answer is ${why}`, async () => {
      const error = exchange(await answering(text), GET);
      await expect(error).rejects.toMatchObject({ code: "gate_connection_lost", sent: true });
    });

  test("may have been sent when the answer over loopback is cut off", async () => {
    raw = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"));
    });
    const port = await new Promise<number>((done) =>
      raw?.listen(0, "127.0.0.1", () => {
        const address = raw?.address();
        done(typeof address === "object" && address !== null ? address.port : 0);
      }),
    );
    const error = exchange({ kind: "loopback", origin: `http://127.0.0.1:${port}` }, GET);
    await expect(error).rejects.toMatchObject({ code: "gate_connection_lost", sent: true });
  });

  test("may have been sent when no answer comes in time", async () => {
    const error = exchange(await answering(null), { ...GET, timeoutMs: 50 });
    await expect(error).rejects.toMatchObject({ code: "gate_timeout", sent: true });
  });

  test("follows no redirect", async () => {
    const endpoint = await answering(
      "HTTP/1.1 307 X\r\nlocation: http://localhost/other\r\ncontent-length: 0\r\n\r\n",
    );
    expect((await exchange(endpoint, GET)).status).toBe(307);
  });
});
