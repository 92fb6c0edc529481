import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import type { HttpPlan } from "../../src/core/plan.ts";
import { createHost, type Host } from "../../src/host/index.ts";
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
  /** To make the automaton of one call. */
  readonly buildMs: number;
  /** MB of 10^6 bytes each second. */
  readonly jsonRate: number;
  readonly base64Rate: number;
  /** What looks like the beginning of a secret over and over. */
  readonly hostileRate: number;
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

export function measureScrubbing(): ScrubRow {
  const secrets = 5;
  const values = Array.from({ length: secrets }, () => Buffer.from(randomBytes(30).toString("base64url")));
  const builds: number[] = [];
  for (let i = 0; i < 500; i++) {
    const began = performance.now();
    new Scrubber(values);
    builds.push(performance.now() - began);
  }
  const rows = Array.from({ length: 10_000 }, (_, id) => ({
    id,
    name: `user ${id}`,
    url: `https://api.example.com/${id}`,
  }));
  const [first = Buffer.alloc(8)] = values;
  const scrubber = new Scrubber(values);
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
    buildMs: median(builds),
    jsonRate: rate(Buffer.from(JSON.stringify(rows))),
    base64Rate: rate(Buffer.from(randomBytes(750_000).toString("base64"))),
    hostileRate: rate(Buffer.from(first.subarray(0, -1).toString().repeat(25_000))),
  };
}

export function httpReport(http: HttpRow, scrub: ScrubRow): string {
  const ms = (value: number) => value.toFixed(3);
  return `HTTP broker, GET of 1 KB over one warm TLS connection, median of ${http.calls}: node's client ${ms(http.plain)} ms; through a door ${ms(http.door)} ms (adds ${ms(http.door - http.plain)}); with a credential ${ms(http.credential)} ms (adds ${ms(http.credential - http.plain)}).

Scrubbing for ${scrub.secrets} secrets of 40 characters: automaton ${ms(scrub.buildMs)} ms a call; ${Math.round(scrub.jsonRate)} MB/s of JSON, ${Math.round(scrub.base64Rate)} of base64, ${Math.round(scrub.hostileRate)} of nothing but beginnings of a secret.
`;
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
