import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { HttpPlan } from "../../src/core/plan.ts";
import { createHost, type Host } from "../../src/host/index.ts";
import { Automata } from "../../src/host/scrub/automata.ts";
import { Scrubber } from "../../src/host/scrub/scrubber.ts";
import { callFor, doorRequest, httpPlan } from "../host/plans.ts";
import { TableSource } from "../host/secrets.ts";
import { BenchChild } from "./child.ts";
import { UPSTREAM_HOST } from "./upstream.ts";

export interface HttpRow {
  readonly calls: number;
  /** Milliseconds of one GET of 1 KB over a warm TLS connection, one after the other. */
  readonly plain: number;
  /** The same through a door of its own for each, without a credential and with one. */
  readonly door: number;
  readonly credential: number;
}

export interface ScrubRow {
  readonly secrets: number;
  /** What has to be made for the first call with them, and for the same of 8 KB of every visible character. */
  readonly first: MakingRow;
  readonly firstLong: MakingRow;
  /** Milliseconds that a later call pays for the same. */
  readonly later: number;
  readonly laterLong: number;
  /** MB of 10^6 bytes each second. */
  readonly jsonRate: number;
  readonly base64Rate: number;
  /** What looks like the beginning of a secret over and over. */
  readonly hostileRate: number;
}

/** Milliseconds: until it is there, and the longest that other calls had to wait meanwhile. */
export interface MakingRow {
  readonly ms: number;
  readonly longestMs: number;
}

const CALLS = 4000;
const PUBLIC = "93.184.215.14";
const TOKEN = "tok_0123456789abcdefghijklmnopqrstuvwxyz";

/** The broker against node's own client, in turns, so that both meet the same machine. */
export async function measureHttp(folder: string): Promise<HttpRow> {
  const caFile = join(folder, "http-bench-ca.pem");
  await using upstream = new BenchChild("upstream.ts", caFile);
  const port = Number(await upstream.line());
  const ca = readFileSync(caFile, "utf8");
  const host = createHost({
    authorities: [ca],
    secrets: new TableSource({ TOKEN }),
    testing: {
      resolve: async () => [{ address: PUBLIC, ttl: 3600 }],
      dial: () => ({ address: "127.0.0.1", port }),
    },
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca });
  try {
    const url = `https://${UPSTREAM_HOST}/`;
    const without = httpPlan({ url, hosts: [UPSTREAM_HOST] });
    const binding = {
      secret: "TOKEN",
      in: "header",
      name: "authorization",
      format: "Bearer {secret}",
    } as const;
    const secrets = [{ ...binding, origin: `https://${UPSTREAM_HOST}`, required: true }];
    const ways = [
      () => plainGet(agent, port),
      () => throughDoor(host, without),
      () => throughDoor(host, { ...without, secrets }),
    ];
    const times: number[][] = ways.map(() => []);
    for (let i = 0; i < CALLS + 500; i++)
      for (const [way, run] of ways.entries()) {
        const began = performance.now();
        await run();
        // The first ones are the start of a program, not its speed.
        if (i >= 500) times[way]?.push(performance.now() - began);
      }
    const [plain = 0, door = 0, credential = 0] = times.map(median);
    return { calls: CALLS, plain, door, credential };
  } finally {
    agent.destroy();
    await host.close();
  }
}

export async function measureScrubbing(): Promise<ScrubRow> {
  const secrets = 5;
  const values = Array.from({ length: secrets }, () => Buffer.from(randomBytes(30).toString("base64url")));
  const long = [Buffer.from(Array.from(randomBytes(8192), (byte) => 0x21 + (byte % 94)))];
  const made = await firstUse(values, 200);
  const madeLong = await firstUse(long, 15);
  const automata = new Automata({ clock: systemClock });
  const later = await laterUse(automata, values);
  const laterLong = await laterUse(automata, long);
  const rows = Array.from({ length: 10_000 }, (_, id) => ({
    id,
    name: `user ${id}`,
    url: `https://api.example.com/${id}`,
  }));
  const [first = Buffer.alloc(8)] = values;
  const scrubber = new Scrubber(await automata.hold(values));
  const rate = (text: Buffer) => {
    const times: number[] = [];
    for (let i = 0; i < 30; i++) {
      const stream = scrubber.stream();
      const began = performance.now();
      for (let at = 0; at < text.length; at += 65_536) stream.push(text.subarray(at, at + 65_536));
      scrubber.finish(stream);
      times.push(performance.now() - began);
    }
    return text.length / 1000 / median(times);
  };
  return {
    secrets,
    first: made,
    firstLong: madeLong,
    later,
    laterLong,
    jsonRate: rate(Buffer.from(JSON.stringify(rows))),
    base64Rate: rate(Buffer.from(randomBytes(750_000).toString("base64"))),
    hostileRate: rate(Buffer.from(first.subarray(0, -1).toString().repeat(25_000))),
  };
}

export function httpReport(http: HttpRow, scrub: ScrubRow): string {
  const ms = (value: number) => value.toFixed(3);
  return `HTTP broker, GET of 1 KB over one warm TLS connection, median of ${http.calls}: node's client ${ms(http.plain)} ms; through a door ${ms(http.door)} ms (adds ${ms(http.door - http.plain)}); with a credential ${ms(http.credential)} ms (adds ${ms(http.credential - http.plain)}).

Scrubbing for ${scrub.secrets} secrets of 40 characters: the first call waits ${ms(scrub.first.ms)} ms for the automaton, a later one ${ms(scrub.later)} ms; for one secret of 8 KB of every visible character ${ms(scrub.firstLong.ms)} ms, in parts of at most ${ms(scrub.firstLong.longestMs)} ms, and ${ms(scrub.laterLong)} ms. ${Math.round(scrub.jsonRate)} MB/s of JSON, ${Math.round(scrub.base64Rate)} of base64, ${Math.round(scrub.hostileRate)} of nothing but beginnings of a secret.
`;
}

async function firstUse(values: readonly Uint8Array[], times: number): Promise<MakingRow> {
  const whole: number[] = [];
  const parts: number[] = [];
  for (let i = 0; i < times; i++) {
    const automata = new Automata({ clock: systemClock });
    let over = false;
    let longest = 0;
    const began = performance.now();
    const work = automata.hold(values).then((held) => {
      over = true;
      held.release();
    });
    for (let last = began; !over; ) {
      await new Promise((next) => setImmediate(next));
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
    await work;
    whole.push(performance.now() - began);
    parts.push(longest);
    automata.close();
  }
  return { ms: median(whole), longestMs: median(parts) };
}

async function laterUse(automata: Automata, values: readonly Uint8Array[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 2000; i++) {
    const began = performance.now();
    (await automata.hold(values)).release();
    times.push(performance.now() - began);
  }
  return median(times);
}

function plainGet(agent: Agent, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", port, servername: UPSTREAM_HOST, path: "/" };
    const sent = request({ ...options, headers: { host: UPSTREAM_HOST } }, (response) => {
      response.on("data", () => undefined);
      response.on("end", resolve);
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end();
  });
}

async function throughDoor(host: Host, plan: HttpPlan): Promise<void> {
  const door = host.door(doorRequest(plan));
  const answer = await door.call(callFor(plan));
  await door.close();
  if ("err" in answer) throw new Error(answer.err);
}

function median(times: number[]): number {
  times.sort((a, b) => a - b);
  return times[times.length >> 1] ?? Number.NaN;
}
