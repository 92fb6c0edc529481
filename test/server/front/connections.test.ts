import { afterAll, describe, expect, test } from "bun:test";
import { PeerCredentialsError } from "../../../src/identity/index.ts";
import { closeFronts, converse, openFront, RawClient } from "./raw-client.ts";

afterAll(closeFronts);

const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

async function tell(client: RawClient): Promise<number | undefined> {
  client.send(GET);
  return (await client.answers(1))[0]?.status;
}

describe("peers", () => {
  test("the kernel's word on who connects reaches the handler", async () => {
    const { path } = await openFront((request, response) => response.json(200, request.peer), {
      label: "admin",
    });
    const client = await RawClient.open(path);
    client.send(GET);
    const [answer] = await client.answers(1);
    client.socket.destroy();
    expect(JSON.parse(answer?.body ?? "")).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
  });

  test("200 concurrent keep-alive requests of several processes are each told apart", async () => {
    const { path } = await openFront(async (request, response) => {
      const claimed = Number(Buffer.from(await request.body()).toString());
      response.json(200, { claimed, seen: request.peer?.pid });
    });
    // Each process sends its own pid 3 times on each of 50 connections, all at once.
    const program = `
      const net = require("node:net");
      const body = String(process.pid);
      const bytes = "POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: " + body.length + "\\r\\n\\r\\n" + body;
      let wrong = 0, right = 0;
      const one = () => new Promise((done, fail) => {
        let text = "", sent = 0;
        const socket = net.connect(process.argv[1]);
        const next = () => { text = ""; sent++; socket.write(bytes); };
        socket.on("connect", next);
        socket.on("error", fail);
        socket.on("data", (chunk) => {
          text += chunk;
          if (!text.endsWith("}")) return;
          const answer = JSON.parse(text.slice(text.indexOf("{")));
          answer.claimed === process.pid && answer.seen === process.pid ? right++ : wrong++;
          if (sent < 3) next(); else { socket.destroy(); done(); }
        });
      });
      Promise.all(Array.from({ length: 50 }, one)).then(() => console.log(JSON.stringify({ right, wrong })));
    `;
    const children = Array.from({ length: 4 }, () =>
      Bun.spawn([process.execPath, "-e", program, path], { env: {}, stdout: "pipe", stderr: "inherit" }),
    );
    const results = await Promise.all(children.map((child) => new Response(child.stdout).json()));
    expect(results).toEqual(Array.from({ length: 4 }, () => ({ right: 150, wrong: 0 })));
  });

  test("a connection whose peer cannot be read is refused, in JSON, and reported", async () => {
    const { path, errors } = await openFront((_request, response) => response.json(200, 1), {
      peers: () => {
        throw new PeerCredentialsError("no credentials");
      },
    });
    const [answer] = await converse(path, GET);
    expect(answer?.status).toBe(500);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ error: "internal_error" });
    expect(errors).toEqual([expect.objectContaining({ code: "peer_credentials_unavailable" })]);
  });
});

describe("caps", () => {
  test("one connection too many is refused, and its place is free again when another ends", async () => {
    const { path, front } = await openFront((_request, response) => response.json(200, 1), {
      limits: { connections: 2 },
    });
    const [first, second] = [await RawClient.open(path), await RawClient.open(path)];
    expect([await tell(first), await tell(second)]).toEqual([200, 200]);
    const [refused] = await converse(path, GET);
    expect(refused?.status).toBe(503);
    expect(JSON.parse(refused?.body ?? "")).toMatchObject({ error: "too_many_connections" });
    first.socket.destroy();
    while (front.connections > 1) await new Promise((resolve) => setImmediate(resolve));
    const third = await RawClient.open(path);
    expect(await tell(third)).toBe(200);
    second.socket.destroy();
    third.socket.destroy();
  });

  test("one account's share does not take the others' places", async () => {
    let uid = 1000;
    const { path } = await openFront((_request, response) => response.json(200, 1), {
      limits: { connectionsPerUid: 1 },
      peers: () => ({ pid: 1, uid, gid: 1 }),
    });
    const mine = await RawClient.open(path);
    expect(await tell(mine)).toBe(200);
    expect((await converse(path, GET)).map(({ status }) => status)).toEqual([503]);
    uid = 1001;
    const theirs = await RawClient.open(path);
    expect(await tell(theirs)).toBe(200);
    mine.socket.destroy();
    theirs.socket.destroy();
  });
});

describe("closing", () => {
  const gate = () => {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    return { opened, open: () => open() };
  };

  test("idle connections end at once, requests in flight get their answers", async () => {
    const begun = gate();
    const go = gate();
    const { path, front } = await openFront(async (request, response) => {
      if (request.path === "/slow") {
        begun.open();
        await go.opened;
      }
      response.json(200, request.path);
    });
    const idle = await RawClient.open(path);
    await tell(idle);
    const busy = await RawClient.open(path);
    busy.send(GET.replace("/", "/slow"));
    await begun.opened;
    const closed = front.close(60_000);
    expect(await idle.untilEnd()).toHaveLength(1);
    await expect(RawClient.open(path)).rejects.toThrow();
    go.open();
    const [answer] = await busy.untilEnd();
    expect([answer?.body, answer?.headers.get("connection")]).toEqual(['"/slow"', "close"]);
    await closed;
    expect(front.connections).toBe(0);
  });

  test("after the deadline what is left is cut", async () => {
    const begun = gate();
    const { path, front } = await openFront(() => begun.open());
    const client = await RawClient.open(path);
    client.send(GET);
    await begun.opened;
    await front.close(1);
    expect(await client.untilEnd()).toEqual([]);
  });

  test("closing twice is closing once", async () => {
    const { front } = await openFront((_request, response) => response.json(200, 1));
    await Promise.all([front.close(0), front.close(0)]);
    await expect(front.listen({ path: "/x", mode: 0o600, label: "client" })).rejects.toThrow("closed");
  });
});
