import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { HostCall } from "../../src/core/host-call.ts";
import type { HttpPlan, Plan } from "../../src/core/plan.ts";
import { createHost } from "../../src/host/index.ts";
import { equalsPlan } from "../../src/host/plan-match.ts";
import { callFor, doorRequest, fsPlan, httpPlan, LIMITS } from "./plans.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "door-")));
mkdirSync(join(root, "src"));
// No name resolves and nothing is dialled: a call that passes the door fails with `dns_failed`.
const host = createHost({ fsRoots: [root], testing: { resolve: async () => [] } });

beforeEach(() => writeFileSync(join(root, "src/a.txt"), "before"));
afterAll(async () => {
  await host.close();
  rmSync(root, { recursive: true });
});

const POST: HttpPlan = httpPlan({
  method: "POST",
  headers: [
    ["accept", "a"],
    ["x-b", "b"],
  ],
  body: Buffer.from("body"),
});
const WRITE = fsPlan(root, {
  operation: "overwrite",
  content: Buffer.from("after"),
  expectedBeforeHash: createHash("sha256").update("before").digest("hex"),
});

/** The faithful call with something changed. */
function changed(plan: Plan, changes: Readonly<Record<string, unknown>>): HostCall {
  // The changes keep the kind of call; ill-typed members are what a broken runner could send.
  return { ...callFor(plan), ...changes } as HostCall;
}

describe("a call that differs from its plan is refused, and nothing happens", () => {
  const upper = POST.headers.map(([name, value]): [string, string] => [name.toUpperCase(), value]);
  const cases: readonly (readonly [what: string, plan: Plan, call: HostCall])[] = [
    ["method", POST, changed(POST, { method: "PUT" })],
    ["method in lower case", POST, changed(POST, { method: "post" })],
    ["host", POST, changed(POST, { url: "https://evil.example/items?page=1" })],
    ["path", POST, changed(POST, { url: "https://api.example.com/items/?page=1" })],
    ["query", POST, changed(POST, { url: "https://api.example.com/items?page=2" })],
    ["scheme", POST, changed(POST, { url: "http://api.example.com/items?page=1" })],
    ["port", POST, changed(POST, { url: "https://api.example.com:444/items?page=1" })],
    ["no url at all", POST, changed(POST, { url: "items" })],
    ["one header more", POST, changed(POST, { headers: [...POST.headers, ["x-c", "c"]] })],
    ["one header less", POST, changed(POST, { headers: POST.headers.slice(1) })],
    ["order of headers", POST, changed(POST, { headers: [...POST.headers].reverse() })],
    ["case of header names", POST, changed(POST, { headers: upper })],
    ["body", POST, changed(POST, { body: Buffer.from("bodY") })],
    ["longer body", POST, changed(POST, { body: Buffer.from("body ") })],
    ["no body", POST, changed(POST, { body: null })],
    ["an empty body for none", httpPlan(), changed(httpPlan(), { body: new Uint8Array() })],
    ["a time limit that is none", POST, changed(POST, { timeoutMs: -1 })],
    ["a file call for a request", POST, { kind: "fs.read", path: "src/a.txt" }],
    ["a request for a file call", WRITE, callFor(POST)],
    ["path of a file", WRITE, changed(WRITE, { path: "src/b.txt" })],
    ["another spelling of a path", WRITE, changed(WRITE, { path: "src//a.txt" })],
    ["operation", WRITE, { kind: "fs.delete", path: "src/a.txt" }],
    ["reading what is to be written", WRITE, { kind: "fs.read", path: "src/a.txt" }],
    ["content", WRITE, changed(WRITE, { content: Buffer.from("After") })],
    ["mode", WRITE, changed(WRITE, { mode: "create" })],
    ["expected hash", WRITE, changed(WRITE, { expectedBeforeHash: Buffer.alloc(32) })],
    ["no expected hash", WRITE, changed(WRITE, { expectedBeforeHash: null })],
  ];
  for (const [what, plan, call] of cases)
    test(what, async () => {
      const door = host.door(doorRequest(plan));
      expect(await door.call(call)).toEqual({ kind: call.kind, err: "differs_from_plan" });
      await door.close();
      const [effect, ...others] = door.effects();
      expect(others).toEqual([]);
      expect(effect).toMatchObject({ kind: plan.kind, reached: "none", error: "differs_from_plan" });
      if (effect?.kind === "http") expect([effect.requestBytes, effect.requestHash]).toEqual([0, null]);
      expect(readFileSync(join(root, "src/a.txt"), "utf8")).toBe("before");
    });
});

test("another spelling of the same url is the same url", () => {
  const url = "HTTPS://API.EXAMPLE.COM:443/items?page=1#top";
  expect(equalsPlan(changed(POST, { url }), POST)).toBe(true);
});

test("no single changed byte of a body or content passes", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, by) => {
        const other = Uint8Array.from(bytes);
        const i = at % bytes.length;
        other[i] = (other[i] ?? 0) ^ by;
        const post = { ...POST, body: bytes };
        const write = { ...WRITE, content: bytes };
        expect([equalsPlan(callFor(post), post), equalsPlan(changed(post, { body: other }), post)]).toEqual([
          true,
          false,
        ]);
        expect([
          equalsPlan(callFor(write), write),
          equalsPlan(changed(write, { content: other }), write),
        ]).toEqual([true, false]);
      },
    ),
    { seed: 1 },
  );
});

test("a plan is one effect: the second call is not granted, also beside the first and after a failure", async () => {
  const door = host.door(doorRequest(WRITE));
  const [first, second] = await Promise.all([door.call(callFor(WRITE)), door.call(callFor(WRITE))]);
  expect("ok" in first).toBe(true);
  expect(second).toEqual({ kind: "fs.write", err: "not_granted" });
  const failing = host.door(doorRequest(POST));
  expect(await failing.call(callFor(POST))).toEqual({ kind: "http.request", err: "dns_failed" });
  expect(await failing.call(callFor(POST))).toEqual({ kind: "http.request", err: "not_granted" });
  expect(failing.effects().map((effect) => [effect.error, effect.reached] as const)).toEqual([
    ["dns_failed", "none"],
    ["not_granted", "none"],
  ]);
  await Promise.all([door.close(), failing.close()]);
});

test("a refused call does not use the plan up", async () => {
  const door = host.door(doorRequest(WRITE));
  await door.call(changed(WRITE, { content: Buffer.from("other") }));
  expect("ok" in (await door.call(callFor(WRITE)))).toBe(true);
  await door.close();
  expect(door.effects().map((effect) => effect.reached)).toEqual(["none", "confirmed"]);
});

test("every call counts against the budget, and endless asking leaves one record", async () => {
  const door = host.door(doorRequest(WRITE, { limits: { ...LIMITS, ioCalls: 2 } }));
  const other = changed(WRITE, { path: "src/b.txt" });
  const errors: unknown[] = [];
  for (let i = 0; i < 50; i++) errors.push(await door.call(i < 2 ? other : callFor(WRITE)));
  expect(errors.slice(1, 4)).toEqual([
    { kind: "fs.write", err: "differs_from_plan" },
    { kind: "fs.write", err: "io_budget_exceeded" },
    { kind: "fs.write", err: "io_budget_exceeded" },
  ]);
  await door.close();
  expect(door.effects().map((effect) => effect.error)).toEqual([
    "differs_from_plan",
    "differs_from_plan",
    "io_budget_exceeded",
  ]);
  expect(readFileSync(join(root, "src/a.txt"), "utf8")).toBe("before");
});

test("a door is shut after its deadline, its signal, or its close, and keeps no record of what comes then", async () => {
  const past = host.door(doorRequest(WRITE, { deadline: performance.now() - 1 }));
  const never = host.door(doorRequest(WRITE, { deadline: Number.NaN }));
  const aborted = host.door(doorRequest(WRITE, { signal: AbortSignal.abort() }));
  const closed = host.door(doorRequest(WRITE));
  await closed.close();
  const answers = await Promise.all([past, never, aborted, closed].map((door) => door.call(callFor(WRITE))));
  expect(answers.map((answer) => ("err" in answer ? answer.err : "ok"))).toEqual([
    "deadline",
    "deadline",
    "cancelled",
    "cancelled",
  ]);
  expect([past, never, aborted, closed].flatMap((door) => door.effects())).toEqual([]);
  expect(readFileSync(join(root, "src/a.txt"), "utf8")).toBe("before");
  await Promise.all([past, never, aborted].map((door) => door.close()));
});

test("the clock shuts a door whose timer has not run yet", async () => {
  let now = 0;
  const clock = { now: () => now, monotonic: () => now };
  const slow = createHost({ fsRoots: [root], clock });
  const door = slow.door(doorRequest(WRITE, { deadline: 60_000 }));
  now = 60_000;
  expect(await door.call(callFor(WRITE))).toEqual({ kind: "fs.write", err: "deadline" });
  await slow.close();
});

test("the effects handed out are copies", async () => {
  const door = host.door(doorRequest(WRITE));
  await door.call(callFor(WRITE));
  const [first] = door.effects();
  if (first !== undefined) Object.assign(first, { reached: "none" });
  expect(door.effects()[0]?.reached).toBe("confirmed");
  await door.close();
});

test("an open door is counted until it is closed", async () => {
  const door = host.door(doorRequest(WRITE));
  expect(host.stats().doors).toBe(1);
  await door.close();
  await door.close();
  expect(host.stats().doors).toBe(0);
});
