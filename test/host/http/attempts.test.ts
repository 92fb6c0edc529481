import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { HostFailure } from "../../../src/host/failure.ts";
import { firstToConnect } from "../../../src/host/http/attempts.ts";
import { createHost, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type Origin, startOrigin, startPlainOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";

const V4 = ["93.184.215.14", "93.184.215.15", "93.184.215.16", "93.184.215.17", "93.184.215.18"] as const;
const V6 = "2606:2800:21f::1";
const authority = makeAuthority("attempts authority");
const identity = issue(authority, { names: ["api.example.com"] });
const stops: (() => Promise<void>)[] = [];
let origin: Origin;
let dead: number;
let requests = 0;

beforeAll(async () => {
  origin = await startOrigin(identity, (_request, response) => {
    requests += 1;
    response.end("hello");
  });
  stops.push(origin.close);
  const gone = await startPlainOrigin(() => undefined);
  dead = gone.port;
  await gone.close();
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});
beforeEach(() => {
  requests = 0;
});

/** A host for which the name has these addresses; those that are not `alive` refuse the connection. */
function hostFor(addresses: readonly string[], alive: readonly string[], options: HostOptions = {}): Host {
  const host = createHost({
    authorities: [authority.certificate],
    ...options,
    testing: {
      resolve: async () => addresses.map((address) => ({ address, ttl: 60 })),
      dial: (address) => ({ address: "127.0.0.1", port: alive.includes(address) ? origin.port : dead }),
      ...options.testing,
    },
  });
  stops.push(() => host.close());
  return host;
}

async function perform(
  host: Host,
  plan = httpPlan({ method: "POST", body: Buffer.from("pay") }),
  action?: string,
) {
  const door = host.door(doorRequest(plan, action === undefined ? {} : { action }));
  await door.call(callFor(plan));
  await door.close();
  const [effect, ...others] = door.effects();
  expect(others).toEqual([]);
  if (effect?.kind !== "http") throw new Error("no http effect");
  return effect;
}

describe("a name with several public addresses", () => {
  test("is reached by the next one when one refuses, once, and the record says by which", async () => {
    const host = hostFor([V4[0], V4[1]], [V4[1]]);
    const effect = await perform(host);
    expect(effect).toMatchObject({ address: V4[1], reached: "confirmed", error: null });
    expect(requests).toBe(1);
  });

  test("is reached by the other family, which has the second turn", async () => {
    const host = hostFor([V4[0], V4[1], V6], [V4[1], V6]);
    expect(await perform(host)).toMatchObject({ address: V6, reached: "confirmed" });
  });

  test("keeps to the address that worked, and to its connection", async () => {
    const host = hostFor([V4[0], V4[1]], [V4[1]]);
    const before = origin.connections();
    for (let i = 0; i < 3; i++) expect((await perform(host)).address).toBe(V4[1]);
    expect(origin.connections() - before).toBe(1);
    expect(host.stats().connections).toMatchObject({ opened: 1, reused: 2, open: 1 });
  });

  test("that all refuse is not reached, and no more than four of them are tried", async () => {
    const tried: string[] = [];
    const host = hostFor([...V4], [], {
      testing: {
        dial: (address) => {
          tried.push(address);
          return { address: "127.0.0.1", port: address === V4[4] ? origin.port : dead };
        },
      },
    });
    expect(await perform(host)).toMatchObject({ address: V4[0], reached: "none", error: "connect_failed" });
    expect(tried).toEqual(V4.slice(0, 4));
    expect(requests).toBe(0);
  });

  test("gets no second try after a certificate that is not valid", async () => {
    const wrong = await startOrigin(issue(authority, { names: ["other.example.com"] }), () => undefined);
    stops.push(wrong.close);
    const before = origin.connections();
    const host = hostFor([V4[0], V4[1]], [], {
      testing: {
        dial: (address) => ({ address: "127.0.0.1", port: address === V4[0] ? wrong.port : origin.port }),
      },
    });
    expect(await perform(host)).toMatchObject({ address: V4[0], reached: "none", error: "tls_failed" });
    expect(origin.connections()).toBe(before);
  });

  test("is not one of the gate's own listeners, wherever among them that is", async () => {
    const listeners = () => [{ address: V4[1], port: 443 }];
    const effect = await perform(hostFor([V4[0], V4[1]], [V4[0]], { listeners }));
    expect(effect).toMatchObject({ reached: "none", error: "host_not_allowed", address: null });
  });

  test("is asked of a proxy by the first one alone", async () => {
    const heads: string[] = [];
    const proxy = await startPlainOrigin((socket, received) => {
      if (!received.endsWith("\r\n\r\n")) return;
      heads.push(received.split("\r\n")[0] ?? "");
      socket.end("HTTP/1.1 502 Bad Gateway\r\nx-squid-error: ERR_CONNECT_FAIL 111\r\n\r\n");
    });
    stops.push(proxy.close);
    const host = hostFor([V4[0], V4[1], V6], [], {
      proxy: { url: `http://127.0.0.1:${proxy.port}`, secret: null },
      testing: { dial: (address, port) => ({ address, port }) },
    });
    expect(await perform(host)).toMatchObject({ reached: "none", error: "proxy_refused" });
    expect([heads, proxy.connections()]).toEqual([[`CONNECT ${V4[0]}:443 HTTP/1.1`], 1]);
  });
});

describe("a warm connection serves only who would have opened the same one", () => {
  test("not a name that has moved to another address meanwhile", async () => {
    const secured = (host: string, port: number) =>
      new Promise<{ server: Server; port: number }>((resolve, reject) => {
        const server = createServer(identity, (_request, response) => response.end(host));
        server.once("error", reject);
        server.listen(port, host, () => resolve({ server, port: (server.address() as AddressInfo).port }));
      });
    const first = await secured("127.0.0.1", 0);
    // The same port at another address, so that nothing but the address differs.
    const second = await secured("127.0.0.2", first.port);
    try {
      let now: string = V4[0];
      const host = hostFor([], [], {
        testing: {
          resolve: async () => [{ address: now, ttl: 0 }],
          dial: (address) => ({ address: address === V4[0] ? "127.0.0.1" : "127.0.0.2", port: first.port }),
        },
      });
      await perform(host);
      await perform(host);
      expect(host.stats().connections).toMatchObject({ opened: 1, reused: 1 });
      now = V4[1];
      expect((await perform(host)).address).toBe(V4[1]);
      expect(host.stats().connections).toMatchObject({ opened: 2, reused: 1 });
      await host.close();
    } finally {
      for (const { server } of [first, second]) {
        server.closeAllConnections();
        server.close();
      }
    }
  });
});

describe("ways to one place", () => {
  interface Opened {
    readonly way: string;
    ended: boolean;
    end(): Promise<void>;
  }
  const opened = (way: string): Opened => ({
    way,
    ended: false,
    async end() {
      this.ended = true;
    },
  });
  const never = new AbortController().signal;
  /** Rejects once it is told to give up. */
  const hanging = (signal: AbortSignal) =>
    new Promise<Opened>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });

  test("one that keeps silent does not hold up the next, and is given up", async () => {
    let silent: AbortSignal | null = null;
    const { way } = await firstToConnect(["silent", "quick"], 60_000, never, async (one, _, signal) => {
      if (one === "quick") return opened(one);
      silent = signal;
      return hanging(signal);
    });
    expect(way).toBe("quick");
    expect((silent as AbortSignal | null)?.aborted).toBe(true);
  });

  test("one that has been reached is waited for", async () => {
    const tried: string[] = [];
    const { way } = await firstToConnect(
      ["slow", "quick"],
      60_000,
      never,
      async (one, _ms, _signal, reached) => {
        tried.push(one);
        reached();
        // Longer than a way may keep the next one waiting.
        await new Promise((resolve) => setTimeout(resolve, 400));
        return opened(one);
      },
    );
    expect([way, tried]).toEqual(["slow", ["slow"]]);
  });

  test("one that comes too late is closed", async () => {
    const late = opened("late");
    const letGo = Promise.withResolvers<void>();
    const { way } = await firstToConnect(["late", "quick"], 60_000, never, async (one) => {
      if (one === "quick") return opened(one);
      await letGo.promise;
      return late;
    });
    expect(way).toBe("quick");
    letGo.resolve();
    await new Promise((next) => setImmediate(next));
    expect(late.ended).toBe(true);
  });

  test("all of them end with the call", async () => {
    const stop = new AbortController();
    const reason = new Error("over");
    const signals: AbortSignal[] = [];
    const work = firstToConnect(["a", "b"], 60_000, stop.signal, async (one, _, signal) => {
      signals.push(signal);
      if (one === "b") stop.abort(reason);
      return hanging(signal);
    });
    expect(await work.catch((thrown: unknown) => thrown)).toBe(reason);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("share one time limit, and the first failure is told", async () => {
    const limits: number[] = [];
    const work = firstToConnect(["a", "b"], 5000, never, async (one, timeoutMs) => {
      limits.push(timeoutMs);
      throw new HostFailure("connect_failed", one);
    });
    expect(await work.catch((thrown: Error) => thrown.message)).toBe("a");
    expect(limits.length).toBe(2);
    expect(Math.max(...limits)).toBeLessThanOrEqual(5000);
  });
});
