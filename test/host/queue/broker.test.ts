import { afterAll, afterEach, beforeAll, describe, expect } from "bun:test";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { sha256Hex } from "../../../src/core/bytes.ts";
import type { QueueEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import { NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { QueuePlan } from "../../../src/core/plan.ts";
import { createHost, type DoorRequest, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { RABBITMQ, type RabbitMq, startRabbitMq } from "../../rabbitmq.ts";
import { requireTool } from "../../require-tool.ts";
import { callFor, doorRequest, LIMITS, queuePlan } from "../plans.ts";

const HOST = "mq.example.com";
const authority = makeAuthority("queue authority");
const test = requireTool(RABBITMQ, "apt-get install rabbitmq-server");

let broker: RabbitMq;
let model: ChannelModel;
let channel: ConfirmChannel;

beforeAll(async () => {
  if (Bun.which(RABBITMQ) === null) return;
  broker = await startRabbitMq(issue(authority, { names: [HOST] }));
  const { port, user: username, password } = broker;
  model = await connect({ protocol: "amqp", hostname: "127.0.0.1", port, username, password });
  channel = await model.createConfirmChannel();
  await channel.assertQueue("mails", { durable: true });
  await channel.assertQueue("full", {
    durable: true,
    maxLength: 1,
    arguments: { "x-overflow": "reject-publish" },
  });
}, 60_000);

afterAll(async () => {
  if (Bun.which(RABBITMQ) === null) return;
  await model.close();
  await broker.stop();
}, 60_000);

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function planned(changes: Partial<QueuePlan> = {}): QueuePlan {
  const server = { host: HOST, port: broker.tlsPort, user: broker.user, tls: "verify" } as const;
  return queuePlan({ server, secret: "MQ_PASSWORD", ...changes });
}

interface Scene extends Partial<HostOptions> {
  readonly password?: string;
  readonly ca?: string | null;
}

function hostFor(
  plan: QueuePlan,
  { password = broker.password, ca = authority.certificate, ...options }: Scene = {},
): Host {
  const { server, vhost, secret, connection } = plan;
  const entry = { server, vhost, secret, exchanges: null, routingKeys: null, ca };
  const host = createHost({
    connections: { ...NO_CONNECTIONS, queue: new Map([[connection, entry]]) },
    secrets: { open: async () => ({ bytes: () => Buffer.from(password), release: () => undefined }) },
    testing: { resolve: async () => [{ address: "127.0.0.1", ttl: 60 }] },
    ...options,
  });
  closing.push(() => host.close());
  return host;
}

async function publish(
  host: Host,
  plan: QueuePlan,
  request: Partial<DoorRequest> = {},
): Promise<{ answer: HostAnswer; effect: QueueEffect }> {
  const door = host.door({ ...doorRequest(plan), ...request });
  const answer = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "queue") throw new Error("no queue effect");
  return { answer, effect };
}

test("a message arrives as planned, once, kept on disk, and is confirmed", async () => {
  const plan = planned({ payload: Buffer.from([0, 255, 10]) });
  const { answer, effect } = await publish(hostFor(plan), plan);
  const got = await channel.get("mails", { noAck: true });
  if (got === false) throw new Error("no message");
  expect(await channel.get("mails", { noAck: true })).toBe(false);
  expect(got.content).toEqual(Buffer.from([0, 255, 10]));
  expect(got.properties).toMatchObject({
    messageId: effect.messageId,
    contentType: "application/json",
    deliveryMode: 2,
    headers: { "x-a": "1" },
  });
  expect(answer).toEqual({ kind: "queue.publish", ok: { messageId: effect.messageId ?? "" } });
  expect(effect).toMatchObject({
    server: `${HOST}:${broker.tlsPort}`,
    address: "127.0.0.1",
    payloadHash: sha256Hex(Buffer.from([0, 255, 10])),
    payloadBytes: 3,
    confirm: "ack",
    reached: "confirmed",
    error: null,
  });
});

describe("a message that the broker does not take", () => {
  test("for want of a queue comes back", async () => {
    const plan = planned({ routingKey: "nobody" });
    const { answer, effect } = await publish(hostFor(plan), plan);
    expect(answer).toEqual({ kind: "queue.publish", err: "unroutable" });
    expect(effect).toMatchObject({ reached: "confirmed", confirm: "returned", error: "unroutable" });
  });

  test("for want of its exchange is refused", async () => {
    const plan = planned({ exchange: "missing" });
    const { answer, effect } = await publish(hostFor(plan), plan);
    expect(answer).toEqual({ kind: "queue.publish", err: "publish_refused" });
    expect(effect).toMatchObject({ reached: "confirmed", confirm: null, error: "publish_refused" });
  });

  test("for want of room is nacked", async () => {
    const plan = planned({ routingKey: "full" });
    const host = hostFor(plan);
    expect((await publish(host, plan)).effect).toMatchObject({ confirm: "ack" });
    expect((await publish(host, plan)).effect).toMatchObject({
      reached: "confirmed",
      confirm: "nack",
      error: "publish_refused",
    });
  });
});

describe("a broker", () => {
  /** What a call comes to when the environment says that no certificate matters. */
  async function trusting(host: Host, plan: QueuePlan) {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    return publish(host, plan).finally(() => {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    });
  }

  test("with another name than its certificate is told nothing", async () => {
    const server = { host: "other.example.com", port: broker.tlsPort, user: "gate", tls: "verify" } as const;
    const plan = planned({ server });
    for (const one of [publish, trusting])
      expect((await one(hostFor(plan), plan)).effect).toMatchObject({ reached: "none", error: "tls_failed" });
  });

  test("of an unknown authority is told nothing", async () => {
    const plan = planned();
    for (const ca of [makeAuthority("stranger").certificate, null])
      for (const one of [publish, trusting])
        expect((await one(hostFor(plan, { ca }), plan)).effect).toMatchObject({
          reached: "none",
          error: "tls_failed",
        });
  });

  test("that does not take the password ends it before the message, and nothing of it comes back", async () => {
    const plan = planned();
    // The last but one would be right if somebody decoded it.
    for (const password of ["another password", encodeURIComponent(broker.password), ""]) {
      const { answer, effect } = await publish(hostFor(plan, { password }), plan);
      expect(answer).toEqual({ kind: "queue.publish", err: "authentication_failed" });
      expect(effect).toMatchObject({ reached: "none", messageId: null, error: "authentication_failed" });
      if (password !== "") expect(JSON.stringify([answer, effect])).not.toContain(password);
    }
  });

  test("without the virtual host says so", async () => {
    const plan = planned({ vhost: "elsewhere" });
    expect((await publish(hostFor(plan), plan)).effect).toMatchObject({
      reached: "none",
      error: "permission_denied",
    });
  });

  test("on loopback may be spoken to in clear text", async () => {
    const server = { host: "127.0.0.1", port: broker.port, user: broker.user, tls: "off" } as const;
    const plan = planned({ server });
    expect((await publish(hostFor(plan, { ca: null }), plan)).effect).toMatchObject({
      confirm: "ack",
      error: null,
    });
    await channel.get("mails", { noAck: true });
  });
});

test("a header that would route copies elsewhere is not sent", async () => {
  const { queue } = await channel.assertQueue("", { exclusive: true });
  for (const name of ["CC", "BCC", "cc", "x-A"]) {
    const plan = planned({ headers: [[name, queue]] });
    const { effect } = await publish(hostFor(plan), plan);
    expect(effect).toMatchObject({ reached: "none", error: "publish_refused", address: null });
  }
  expect(await channel.get(queue, { noAck: true })).toBe(false);
});

test("a routing key that is none goes nowhere", async () => {
  for (const routingKey of ["", "a\nb", "a".repeat(256), "ä"]) {
    const plan = planned({ routingKey });
    expect((await publish(hostFor(plan), plan)).effect).toMatchObject({ reached: "none", address: null });
  }
});

test("a payload over the limit goes nowhere", async () => {
  const plan = planned({ payload: Buffer.alloc(1001) });
  const limits = { ...LIMITS, requestBytes: 1000 };
  expect((await publish(hostFor(plan), plan, { limits })).effect).toMatchObject({
    reached: "none",
    error: "request_too_large",
    address: null,
  });
});

/** Speaks for the broker up to a number of client frames, and then falls silent or hangs up. */
async function startRelay(then: "silent" | "gone", needle: string) {
  const sockets: Socket[] = [];
  const reached = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    const inner = dial(broker.port, "127.0.0.1");
    sockets.push(socket, inner);
    for (const one of [socket, inner]) one.on("error", () => undefined);
    socket.on("close", () => closed.resolve());
    let stopped = false;
    inner.on("data", (chunk: Buffer) => {
      if (!stopped) socket.write(chunk);
    });
    socket.on("data", (chunk: Buffer) => {
      if (!chunk.includes(needle)) {
        inner.write(chunk);
        return;
      }
      stopped = true;
      reached.resolve();
      if (then === "gone") socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, reached: reached.promise, closed: closed.promise };
}

test("a connection that ends before the confirm leaves the message unknown", async () => {
  const relay = await startRelay("gone", "mails");
  const server = { host: "127.0.0.1", port: relay.port, user: broker.user, tls: "off" } as const;
  const plan = planned({ server });
  const { answer, effect } = await publish(hostFor(plan, { ca: null }), plan);
  expect(answer).toEqual({ kind: "queue.publish", err: "connection_reset" });
  expect(effect).toMatchObject({ reached: "maybe", confirm: null, error: "connection_reset" });
});

test("a call that is cancelled while it waits for the confirm closes the connection", async () => {
  const relay = await startRelay("silent", "mails");
  const server = { host: "127.0.0.1", port: relay.port, user: broker.user, tls: "off" } as const;
  const plan = planned({ server });
  const controller = new AbortController();
  const publishing = publish(hostFor(plan, { ca: null }), plan, { signal: controller.signal });
  await relay.reached;
  controller.abort();
  expect((await publishing).effect).toMatchObject({ reached: "maybe", error: "cancelled" });
  await relay.closed;
});

test("a connection that is not that of the plan any more is not used", async () => {
  const plan = planned();
  const host = hostFor(plan);
  for (const changed of [
    { ...plan, vhost: "other" },
    { ...plan, secret: "OTHER" },
    { ...plan, connection: "elsewhere" },
    { ...plan, server: { ...plan.server, user: "root" } },
  ])
    expect((await publish(host, changed)).effect).toMatchObject({
      reached: "none",
      error: "connection_missing",
    });
});
