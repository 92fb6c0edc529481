import { afterAll, describe, expect, test } from "bun:test";
import { closeFronts, converse, openFront, RawClient } from "./raw-client.ts";

afterAll(closeFronts);

// Each test waits for the front to act, however long that takes; none measures time.
const H = "Host: localhost\r\n";
const SHORT = { headerMs: 40, requestMs: 40, idleMs: 40, writeMs: 40, lingerMs: 40 };

describe("a client that is too slow", () => {
  test("with its headers: 408", async () => {
    const { path } = await openFront((_request, response) => response.json(200, 1), { limits: SHORT });
    const answers = await converse(path, `GET / HTTP/1.1\r\n${H}`);
    expect(answers.map(({ status }) => status)).toEqual([408]);
    expect(JSON.parse(answers[0]?.body ?? "")).toMatchObject({ error: "request_timeout" });
  });

  test("though it sends a byte now and then: 408", async () => {
    const { path } = await openFront((_request, response) => response.json(200, 1), { limits: SHORT });
    const client = await RawClient.open(path);
    client.send(`GET / HTTP/1.1\r\n${H}X: `);
    const drip = setInterval(() => client.send("x"), 5);
    const answers = await client.untilEnd();
    clearInterval(drip);
    expect(answers.map(({ status }) => status)).toEqual([408]);
  });

  test("with the headers of its second request: 408", async () => {
    const limits = { ...SHORT, idleMs: 60_000 };
    const { path } = await openFront((_request, response) => response.json(200, 1), { limits });
    const client = await RawClient.open(path);
    client.send(`GET / HTTP/1.1\r\n${H}\r\n`);
    await client.answers(1);
    client.send("GET / HT");
    expect((await client.untilEnd()).map(({ status }) => status)).toEqual([200, 408]);
  });

  test("with its body: 408", async () => {
    const { path } = await openFront(
      async (request, response) => response.json(200, (await request.body()).length),
      { limits: SHORT },
    );
    const answers = await converse(path, `POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nab`);
    expect(answers.map(({ status }) => status)).toEqual([408]);
  });

  test("without a byte: the connection ends", async () => {
    const { path } = await openFront((_request, response) => response.json(200, 1), {
      limits: { ...SHORT, idleMs: 60_000 },
    });
    expect(await converse(path)).toEqual([]);
  });

  test("to send another request: the connection ends", async () => {
    const limits = { ...SHORT, headerMs: 60_000 };
    const { path } = await openFront((_request, response) => response.json(200, 1), { limits });
    expect((await converse(path, `GET / HTTP/1.1\r\n${H}\r\n`)).map(({ status }) => status)).toEqual([200]);
  });

  test("to read its answer: the connection ends", async () => {
    const { path, front } = await openFront(
      (_request, response) => response.json(200, "x".repeat(8_000_000)),
      {
        limits: { ...SHORT, idleMs: 60_000, headerMs: 60_000 },
      },
    );
    const client = await RawClient.open(path);
    client.socket.pause();
    client.send(`GET / HTTP/1.1\r\n${H}\r\n`);
    while (front.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
  });

  test("to leave after a refusal: the connection is cut", async () => {
    const { path, front } = await openFront((_request, response) => response.json(200, 1), {
      limits: { ...SHORT, bodyBytes: 10 },
    });
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Content-Length: 1000000\r\n\r\n`);
    expect((await client.answers(1)).map(({ status }) => status)).toEqual([413]);
    while (front.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
  });
});

test("a handler may take longer than any limit on clients", async () => {
  const { path } = await openFront(
    (_request, response) => {
      setTimeout(() => response.json(200, "late"), 200);
    },
    { limits: SHORT },
  );
  const client = await RawClient.open(path);
  client.send(`POST / HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\nab`);
  expect((await client.answers(1)).map(({ body }) => body)).toEqual(['"late"']);
  client.socket.destroy();
});
