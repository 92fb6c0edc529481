import { expect, test } from "bun:test";
import type { JsonObject } from "../../src/core/json.ts";
import type { PlannedCall } from "../../src/gate/call.ts";
import { type ComponentLevel, ComponentLog } from "../../src/gate/component-log.ts";
import type { LogLine } from "../../src/sandbox/index.ts";

interface Bench {
  readonly log: ComponentLog;
  readonly written: JsonObject[];
  now: number;
  /** What a write waits for. */
  blocked: Promise<void>;
}

function bench(level: ComponentLevel = "info"): Bench {
  const written: JsonObject[] = [];
  const clock = { now: () => Date.UTC(2026, 0, 1), monotonic: () => made.now };
  const write = async (entries: readonly JsonObject[]) => {
    written.push(...entries);
    await made.blocked;
  };
  const log = new ComponentLog({ clock, level, write });
  const made: Bench = { log, written, now: 0, blocked: Promise.resolve() };
  return made;
}

const call = (action = "a", tenant = "default") =>
  ({ traceId: "trace", action: { id: action }, caller: { tenant } }) as unknown as PlannedCall; // no more is read

const lines = (count: number, level: LogLine["level"] = "info", message = "m"): LogLine[] =>
  Array.from({ length: count }, () => ({ level, message, cut: false }));

const as = (text: string) => text;

test("a line tells when, what level, whose and which call", async () => {
  const { log, written } = bench();
  log.take(call(), lines(1, "warn"), as);
  await log.flush(60_000);
  expect(written).toEqual([
    {
      time: "2026-01-01T00:00:00.000Z",
      event: "component_log",
      level: "warn",
      trace_id: "trace",
      tenant: "default",
      action_id: "a",
      message: "m",
    },
  ]);
});

test.each([
  ["debug", 3],
  ["info", 2],
  ["warn", 1],
  ["off", 0],
] as const)("from level %s on there are %d", async (level, count) => {
  const { log, written } = bench(level);
  log.take(call(), [...lines(1, "debug"), ...lines(1, "info"), ...lines(1, "warn")], as);
  await log.flush(60_000);
  expect(written.length).toBe(count);
});

test("a credential is taken out of the whole text before it is cleaned and cut", async () => {
  const { log, written } = bench();
  const message = `${"x".repeat(998)}se\tcret\u001b[2J`;
  log.take(call(), lines(1, "info", message), (text) => text.replace("se\tcret", "##"));
  await log.flush(60_000);
  expect(written.map((entry) => entry.message)).toEqual([`${"x".repeat(998)}##`]);
});

test.each([
  ["asked https://api.example.com/a/b?sig=s3cr3t", "asked https://api.example.com/…"],
  ["asked https://api.example.com:8443?sig=s3cr3t#x, twice", "asked https://api.example.com:8443/… twice"],
  ["(HTTPS://API.example.com/s3cr3t)", "(HTTPS://API.example.com/…"],
  ["https://user:s3cr3t@api.example.com/", "https://api.example.com/"],
  ["https://user@s3cr3t@api.example.com", "https://api.example.com"],
  ["postgres://gate:s3cr3t@db.internal:5432/shop", "postgres://db.internal:5432/…"],
  [
    '{"url":"https://a.example/s3cr3t","to":"https://b.example/s3cr3t"}',
    '{"url":"https://a.example/…","to":"https://b.example/…"}',
  ],
  ["https://a.example/ and https://b.example", "https://a.example/ and https://b.example"],
  ["https://[::1]:8443/s3cr3t", "https://[::1]:8443/…"],
  ["no url: a://, b:/c, d//e", "no url: a://, b:/c, d//e"],
])("a url in a line keeps its host alone: %s", async (message, wanted) => {
  const { log, written } = bench();
  log.take(call(), lines(1, "info", message), as);
  await log.flush(60_000);
  expect(written.map((entry) => entry.message)).toEqual([wanted]);
});

test("a url across the limit of a line is shortened before the line is cut", async () => {
  const { log, written } = bench();
  const message = `${"x".repeat(960)} https://api.example.com/${"s3cr3t".repeat(100)}`;
  log.take(call(), lines(1, "info", message), as);
  await log.flush(60_000);
  expect(written[0]?.message).toBe(`${"x".repeat(960)} https://api.example.com/…`);
});

test("a call has 64 lines, and the log says how many there were more", async () => {
  const { log, written } = bench();
  log.take(call(), lines(256), as);
  await log.flush(60_000);
  expect(written.filter(({ event }) => event === "component_log").length).toBe(64);
  expect(written.at(-1)).toMatchObject({ event: "component_log_dropped", action_id: "a", lines: 192 });
});

test("an action that floods the log is cut off for a while, and no other with it", async () => {
  const made = bench();
  const { log, written } = made;
  for (let i = 0; i < 100; i++) log.take(call(), lines(50), as);
  log.take(call("b"), lines(1), as);
  log.take(call("a", "acme"), lines(1), as);
  await log.flush(60_000);
  const of = (action: string, tenant: string) =>
    written.filter((entry) => entry.action_id === action && entry.tenant === tenant);
  expect(of("a", "default").length).toBe(1001);
  expect(of("a", "default").at(-1)).toMatchObject({ event: "component_log_dropped", lines: 4000 });
  expect([of("b", "default").length, of("a", "acme").length]).toEqual([1, 1]);
});

test("when the while is over the action is heard again, behind the count", async () => {
  const made = bench();
  for (let i = 0; i < 30; i++) made.log.take(call(), lines(50), as);
  made.now = 10_000;
  made.log.take(call(), lines(1, "info", "again"), as);
  await made.log.flush(60_000);
  expect(made.written.slice(-2)).toMatchObject([
    { event: "component_log_dropped", lines: 500 },
    { event: "component_log", message: "again" },
  ]);
});

test("a reader who does not read holds up nothing, and costs bounded memory", async () => {
  const made = bench();
  const { promise, resolve } = Promise.withResolvers<void>();
  made.blocked = promise;
  for (let i = 0; i < 200; i++) made.log.take(call(`a${i}`), lines(64), as);
  resolve();
  await made.log.flush(60_000);
  const kept = made.written.filter(({ event }) => event === "component_log").length;
  const dropped = made.written.filter(({ event }) => event === "component_log_dropped");
  // The first batch was under way.
  expect(kept).toBe(64 + 4096);
  expect(dropped).toMatchObject([{ lines: 200 * 64 - kept }]);
});

test("a reader who never reads again does not keep the gate from ending", async () => {
  const made = bench();
  made.blocked = new Promise(() => {});
  made.log.take(call(), lines(1), as);
  await made.log.flush(1);
  expect(made.written.length).toBe(1);
});
