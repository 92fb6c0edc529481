import { afterAll, describe, expect, test } from "bun:test";
import { HttpFault } from "../../../src/server/front/index.ts";
import { closeFronts, converse, openFront, RawClient } from "./raw-client.ts";

afterAll(closeFronts);

const H = "Host: localhost\r\n";

function get(target: string, extra = ""): string {
  return `GET ${target} HTTP/1.1\r\n${H}${extra}\r\n`;
}

function post(target: string, body: string, extra = ""): string {
  return `POST ${target} HTTP/1.1\r\n${H}Content-Length: ${body.length}\r\n${extra}\r\n${body}`;
}

/** Resolves when it is told to. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

describe("a request", () => {
  test("arrives as it was sent", async () => {
    const { path } = await openFront((request, response) => {
      response.json(200, {
        method: request.method,
        path: request.path,
        query: request.query,
        rawHeaders: request.rawHeaders,
        one: request.header("x-one"),
        none: request.header("x-none") ?? null,
        many: request.headers("DPoP"),
        socket: request.socket,
      });
    });
    const extra = "X-One: 1\r\nDPoP: a\r\ndpop: b\r\nConnection: close\r\n";
    const [answer] = await converse(path, get("/v1/a%2Fb?x=1?y=%20", extra));
    expect(JSON.parse(answer?.body ?? "")).toEqual({
      method: "GET",
      path: "/v1/a%2Fb",
      query: "x=1?y=%20",
      rawHeaders: [
        ["Host", "localhost"],
        ["X-One", "1"],
        ["DPoP", "a"],
        ["dpop", "b"],
        ["Connection", "close"],
      ],
      one: "1",
      none: null,
      many: ["a", "b"],
      socket: "client",
    });
  });

  test("a header sent twice has no single value", async () => {
    const { path } = await openFront((request, response) => {
      response.json(200, { value: request.header("x-one") });
    });
    const [answer] = await converse(path, get("/", "X-One: 1\r\nX-One: 1\r\n"));
    expect(answer?.status).toBe(400);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ error: "bad_request" });
  });

  test.each(["DELETE", "PUT", "PATCH", "OPTIONS"])("%s may have a body", async (method) => {
    const { path } = await openFront(async (request, response) => {
      response.json(200, Buffer.from(await request.body()).toString());
    });
    const sent = post("/", '{"a":1}', "Connection: close\r\n").replace("POST", method);
    const [answer] = await converse(path, sent);
    expect(answer?.status).toBe(200);
    expect(JSON.parse(answer?.body ?? "")).toBe('{"a":1}');
  });

  test("split anywhere, it is the same request", async () => {
    const { path } = await openFront(async (request, response) => {
      response.json(200, [request.path, Buffer.from(await request.body()).toString()]);
    });
    const bytes = post("/split", "hello");
    for (let at = 1; at < bytes.length; at++) {
      const client = await RawClient.open(path);
      client.send(bytes.slice(0, at));
      // The round trip of another connection: the first part has been read when its answer is here.
      const other = await RawClient.open(path);
      other.send(post("/other", ""));
      await other.answers(1);
      other.socket.destroy();
      client.send(bytes.slice(at));
      const [answer] = await client.answers(1);
      expect(JSON.parse(answer?.body ?? "")).toEqual(["/split", "hello"]);
      client.socket.destroy();
    }
  });

  test("chunks with extensions and trailers are one body", async () => {
    const { path } = await openFront(async (request, response) => {
      response.json(200, Buffer.from(await request.body()).toString());
    });
    const chunks = "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nHost: evil\r\n\r\n";
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${chunks}`);
    expect((await client.answers(1))[0]?.body).toBe('"abcde"');
    client.socket.destroy();
  });
});

describe("a connection", () => {
  test("serves one request after the other", async () => {
    const { path } = await openFront((request, response) => response.json(200, request.path));
    const client = await RawClient.open(path);
    for (let i = 1; i <= 5; i++) {
      client.send(get(`/${i}`));
      const answers = await client.answers(i);
      expect(answers.at(-1)?.body).toBe(`"/${i}"`);
      expect(answers.at(-1)?.headers.get("connection")).toBe("keep-alive");
    }
    client.socket.destroy();
  });

  test("stays open after an answer that did not look at a body that was there", async () => {
    const { path } = await openFront((_request, response) => response.json(401, { error: "x" }));
    const client = await RawClient.open(path);
    client.send(post("/", "abc"));
    await client.answers(1);
    client.send(post("/", "def"));
    expect((await client.answers(2)).map(({ status }) => status)).toEqual([401, 401]);
    client.socket.destroy();
  });

  test("ends after an answer to a body that had not come, so that the rest is nobody's request", async () => {
    const { path } = await openFront((_request, response) => response.json(401, { error: "x" }), {
      limits: { lingerMs: 50 },
    });
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Content-Length: 50\r\n\r\n`);
    await client.answers(1);
    client.send(get("/smuggled"));
    const answers = await client.untilEnd();
    expect(answers.map(({ status, headers }) => [status, headers.get("connection")])).toEqual([
      [401, "close"],
    ]);
  });

  test("a pipeline is worked off one at a time, in order", async () => {
    const events: string[] = [];
    const first = gate();
    const { path } = await openFront(async (request, response) => {
      events.push(`begin ${request.path}`);
      if (request.path === "/1") await first.opened;
      events.push(`end ${request.path}`);
      response.json(200, request.path);
    });
    const client = await RawClient.open(path);
    client.send(get("/1") + post("/2", "x") + get("/3"));
    const other = await RawClient.open(path);
    other.send(get("/other"));
    await other.answers(1);
    expect(events).toEqual(["begin /1", "begin /other", "end /other"]);
    first.open();
    expect((await client.answers(3)).map(({ body }) => body)).toEqual(['"/1"', '"/2"', '"/3"']);
    expect(events.slice(3)).toEqual(["end /1", "begin /2", "end /2", "begin /3", "end /3"]);
    client.socket.destroy();
    other.socket.destroy();
  });

  test("a pipeline over the limit is answered as far as it goes, then refused", async () => {
    const { path } = await openFront((_request, response) => response.json(200, 1), {
      limits: { pipelined: 2, lingerMs: 50 },
    });
    const answers = await converse(path, get("/").repeat(50));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 400]);
    expect(JSON.parse(answers[2]?.body ?? "")).toMatchObject({ error: "too_many_pipelined" });
  });

  test("what follows a refused request is not begun", async () => {
    const seen: string[] = [];
    const { path } = await openFront(
      (request, response) => {
        seen.push(request.path);
        response.json(200, 1);
      },
      { limits: { lingerMs: 50 } },
    );
    const answers = await converse(path, get("/1") + get("/2", H) + get("/3"));
    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
    expect(seen).toEqual(["/1"]);
  });

  test("what follows a request that was answered with a fault is not begun", async () => {
    const seen: string[] = [];
    const { path } = await openFront((request) => {
      seen.push(request.path);
      throw new HttpFault(400, "bad_request", "no");
    });
    const answers = await converse(path, get("/1") + get("/2"));
    expect(answers.map(({ status }) => status)).toEqual([400]);
    expect(seen).toEqual(["/1"]);
  });

  test("junk behind a good request: the request is answered, then the junk", async () => {
    const slow = gate();
    const { path } = await openFront(
      async (_request, response) => {
        await slow.opened;
        response.json(200, 1);
      },
      { limits: { lingerMs: 50 } },
    );
    const client = await RawClient.open(path);
    client.send(`${get("/")}JUNK\r\n\r\n`);
    const other = await RawClient.open(path);
    other.send("x\r\n\r\n");
    await other.untilEnd();
    slow.open();
    expect((await client.untilEnd()).map(({ status }) => status)).toEqual([200, 400]);
  });

  test("half closed, it still gets its answer, and the handler is told", async () => {
    const aborted = gate();
    const { path } = await openFront(async (request, response) => {
      request.signal.addEventListener("abort", () => aborted.open());
      await aborted.opened;
      response.json(200, { aborted: request.signal.aborted });
    });
    const client = await RawClient.open(path);
    client.socket.end(get("/"));
    expect((await client.untilEnd()).map(({ body }) => body)).toEqual(['{"aborted":true}']);
  });
});

describe("a client that goes away", () => {
  test("aborts the signal; the late answer is dropped in silence", async () => {
    const begun = gate();
    const aborted = gate();
    const answered = gate();
    const { path, errors, front } = await openFront(async (request, response) => {
      request.signal.addEventListener("abort", () => aborted.open());
      begun.open();
      await aborted.opened;
      response.json(200, 1);
      response.json(200, 2);
      answered.open();
    });
    const client = await RawClient.open(path);
    client.send(get("/"));
    await begun.opened;
    client.socket.destroy();
    await answered.opened;
    const next = await RawClient.open(path);
    next.send(get("/", "Connection: close\r\n"));
    next.socket.destroy();
    expect(errors).toEqual([]);
    expect(front.connections).toBeLessThanOrEqual(2);
  });

  test("ends the wait for its body", async () => {
    const begun = gate();
    const failed = gate();
    let code = "";
    const { path } = await openFront(async (request) => {
      begun.open();
      await request.body().catch((error: { code: string }) => {
        code = error.code;
        failed.open();
        throw error;
      });
    });
    const client = await RawClient.open(path);
    client.send(`POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nab`);
    await begun.opened;
    client.socket.destroy();
    await failed.opened;
    expect(code).toBe("client_gone");
  });

  test("a body awaited only after the client has gone is refused, and unwatched ones end nothing", async () => {
    const begun = gate();
    const gone = gate();
    const done = gate();
    let late = "";
    const { path } = await openFront(async (request) => {
      request.signal.addEventListener("abort", () => gone.open());
      if (request.path === "/unwatched") void request.body();
      begun.open();
      await gone.opened;
      late = await request.body().then(
        () => "read",
        (error: { code: string }) => error.code,
      );
      done.open();
    });
    const client = await RawClient.open(path);
    client.send(`POST /unwatched HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nab`);
    await begun.opened;
    client.socket.destroy();
    await done.opened;
    expect(late).toBe("client_gone");
  });
});

describe("a handler", () => {
  test("that throws what it should not: 500 without a word of it", async () => {
    const { path, errors } = await openFront(() => {
      throw new Error("secret /path/inside");
    });
    const [answer] = await converse(path, get("/"));
    expect(answer?.status).toBe(500);
    expect(JSON.parse(answer?.body ?? "")).toEqual({
      error: "internal_error",
      message: "the gate failed to answer this request",
    });
    expect(errors.map(String)).toEqual(["Error: secret /path/inside"]);
  });

  test("that forgets to answer: 500", async () => {
    const { path, errors } = await openFront(async () => {});
    expect((await converse(path, get("/"))).map(({ status }) => status)).toEqual([500]);
    expect(errors).toHaveLength(1);
  });

  test("may answer after it returned", async () => {
    const { path } = await openFront((_request, response) => {
      setTimeout(() => response.empty(204), 1);
    });
    expect((await converse(path, get("/", "Connection: close\r\n"))).map(({ status }) => status)).toEqual([
      204,
    ]);
  });

  test("answers once; sent says so", async () => {
    const sent: boolean[] = [];
    const { path } = await openFront((_request, response) => {
      sent.push(response.sent);
      response.json(200, 1);
      sent.push(response.sent);
      response.json(500, 2);
      response.empty(500);
      expect(response.stream(200, "text/plain")).toBeNull();
    });
    expect((await converse(path, get("/", "Connection: close\r\n"))).map(({ body }) => body)).toEqual(["1"]);
    expect(sent).toEqual([false, true]);
  });

  test("sets headers, other types, and empty bodies", async () => {
    const { path } = await openFront((request, response) => {
      if (request.path === "/text")
        response.text(200, "text/plain; charset=utf-8", "é", { "retry-after": "2" });
      else response.empty(404, { allow: "GET" });
    });
    const [text] = await converse(path, get("/text", "Connection: close\r\n"));
    expect(text?.headers.get("retry-after")).toBe("2");
    expect(text?.headers.get("content-length")).toBe("2");
    expect(text?.headers.get("cache-control")).toBe("no-store");
    const [empty] = await converse(path, get("/empty", "Connection: close\r\n"));
    expect([empty?.status, empty?.body, empty?.headers.get("allow")]).toEqual([404, "", "GET"]);
  });

  test("streams until it ends", async () => {
    const { path } = await openFront((_request, response) => {
      const stream = response.stream(200, "text/event-stream");
      for (const event of ["one", "two"]) expect(stream?.write(`data: ${event}\n\n`)).toBe(true);
      stream?.end();
      expect(stream?.write("late")).toBe(false);
    });
    const body = await fetch("http://localhost/events", { unix: path }).then((answer) => answer.text());
    expect(body).toBe("data: one\n\ndata: two\n\n");
  });

  test("is told when a stream's client does not keep up", async () => {
    const cut = gate();
    const { path } = await openFront(async (_request, response) => {
      const stream = response.stream(200, "text/event-stream");
      while (stream?.write("x".repeat(65_536)) === true) await null;
      cut.open();
    });
    const client = await RawClient.open(path);
    client.socket.pause();
    client.send(get("/"));
    await cut.opened;
    client.socket.destroy();
  });
});
