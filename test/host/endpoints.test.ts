/** Where the connections of the configuration lead: what holds for databases, mail servers, queues and stores alike. */
import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { NO_CONNECTIONS } from "../../src/core/plan/connections.ts";
import type { PostgresTarget } from "../../src/core/plan/database.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Resolve } from "../../src/host/http/resolver.ts";
import { createHost, type HostOptions } from "../../src/host/index.ts";
import { callFor, databasePlan, doorRequest, mailPlan, queuePlan, storagePlan } from "./plans.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A port where every connection is counted, and nothing is said. */
async function counting() {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    sockets.push(socket);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.address() as AddressInfo).port, sockets };
}

const KINDS = ["database", "mail", "queue", "storage"] as const;

const POSTGRES = {
  engine: "postgresql",
  database: "shop",
  user: "gate",
  schema: "public",
  tls: "verify",
} as const;

/** A plan of that kind to that place, and a host whose one connection is the plan's. */
function scene(kind: (typeof KINDS)[number], host: string, port: number, options: HostOptions = {}) {
  const mail = mailPlan({ server: { ...mailPlan().server, host, port }, secret: "A_SECRET" });
  const queue = queuePlan({ server: { ...queuePlan().server, host, port }, secret: "A_SECRET" });
  const storage = storagePlan({ endpoint: { ...storagePlan().endpoint, host, port }, secret: "A_SECRET" });
  const target: PostgresTarget = { ...POSTGRES, host, port };
  const database = databasePlan({ target, secret: "A_SECRET" });
  const common = { secret: "A_SECRET", ca: null };
  const gate = createHost({
    connections: {
      ...NO_CONNECTIONS,
      database: new Map([[database.connection, { target, tables: null, ...common }]]),
      mail: new Map([[mail.connection, { server: mail.server, from: mail.from, domains: null, ...common }]]),
      queue: new Map([
        [
          queue.connection,
          { server: queue.server, vhost: queue.vhost, exchanges: null, routingKeys: null, ...common },
        ],
      ]),
      storage: new Map([
        [storage.connection, { endpoint: storage.endpoint, buckets: null, keys: null, ...common }],
      ]),
    },
    secrets: { open: async () => ({ bytes: () => Buffer.from("hunter2!"), release: () => undefined }) },
    ...options,
  });
  closing.push(() => gate.close());
  return { plan: { database, mail, queue, storage }[kind] as Plan, gate };
}

async function ask({ plan, gate }: ReturnType<typeof scene>) {
  const door = gate.door(doorRequest(plan));
  await door.call(callFor(plan));
  await door.close();
  return door.effects()[0];
}

describe.each([...KINDS])("%s", (kind) => {
  test.each(["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0"])(
    "a name that leads to %s leads to no one machine",
    async (address) => {
      const { port, sockets } = await counting();
      const resolve = async () => [{ address, ttl: 60 }];
      const found = await ask(scene(kind, "some.example.com", port, { testing: { resolve } }));
      expect(found).toMatchObject({ reached: "none", error: "address_not_public" });
      expect(sockets).toEqual([]);
    },
  );

  test("one such answer beside a good one spoils both", async () => {
    const { port, sockets } = await counting();
    const resolve = async () => ["127.0.0.1", "0.0.0.0"].map((address) => ({ address, ttl: 60 }));
    const found = await ask(scene(kind, "some.example.com", port, { testing: { resolve } }));
    expect(found).toMatchObject({ reached: "none", error: "address_not_public" });
    expect(sockets).toEqual([]);
  });

  test("a name without an answer, and one whose answer never comes, are told alike", async () => {
    const never: Resolve = (_, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    for (const resolve of [async () => [], never]) {
      const options: HostOptions = { testing: { resolve }, timeouts: { dnsMs: 50 } };
      const found = await ask(scene(kind, "some.example.com", 443, options));
      expect(found).toMatchObject({ reached: "none", error: "dns_failed" });
    }
  });

  test("none of the gate's own listeners, by name or by address", async () => {
    const { port, sockets } = await counting();
    const options: HostOptions = {
      testing: { resolve: async () => [{ address: "127.0.0.1", ttl: 60 }] },
      listeners: () => [{ address: "0.0.0.0", port }],
    };
    for (const host of ["some.example.com", "127.0.0.1"]) {
      const found = await ask(scene(kind, host, port, options));
      expect(found).toMatchObject({ reached: "none", error: "host_not_allowed" });
    }
    expect(sockets).toEqual([]);
  });
});
