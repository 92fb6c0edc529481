import { afterAll, beforeAll, expect, test } from "bun:test";
import type { HttpPlan, ReadBackPlan } from "../../src/core/plan.ts";
import { readBackUrl } from "../../src/host/http/read-back.ts";
import { createHost, type DoorRequest, type Host } from "../../src/host/index.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { type Origin, startOrigin } from "./origin.ts";
import { callFor, doorRequest, httpPlan, LIMITS } from "./plans.ts";
import { TableSource } from "./secrets.ts";

const TOKEN = "tok_0123456789abcdef";
const authority = makeAuthority("read-back authority");
const arrived: string[] = [];
let origin: Origin;
let host: Host;
let source: TableSource;
/** Status of what answers GET. */
let status = 200;
let silent = false;

beforeAll(async () => {
  origin = await startOrigin(issue(authority, { names: ["api.example.com"] }), (request, response) => {
    arrived.push(`${request.method} ${request.url} ${request.headers.authorization ?? ""}`);
    request.resume();
    if (silent && request.method === "GET") return;
    response.writeHead(request.method === "GET" ? status : 201, { "content-type": "application/json" });
    response.end(JSON.stringify({ id: 7, echo: TOKEN }));
  });
  source = new TableSource({ TOKEN });
  host = createHost({
    authorities: [authority.certificate],
    secrets: source,
    testing: {
      resolve: async () => [{ address: "93.184.215.14", ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
    },
  });
});
afterAll(async () => {
  await host.close();
  await origin.close();
});

const bound = {
  secret: "TOKEN",
  in: "header",
  name: "authorization",
  format: "Bearer {secret}",
  origin: "https://api.example.com",
  required: true,
} as const;

const back = (changes: Partial<ReadBackPlan> = {}): ReadBackPlan => ({
  url: "https://api.example.com/items/%7Bitem%7D",
  values: [{ name: "item", pointer: "/id" }],
  headers: [],
  secrets: [bound],
  status: null,
  assert: [],
  attempts: 3,
  intervalMs: 0,
  ...changes,
});

const planned = (changes: Partial<HttpPlan> = {}): HttpPlan =>
  httpPlan({
    method: "POST",
    url: "https://api.example.com/items",
    body: Buffer.from("{}"),
    secrets: [bound],
    readBack: back(),
    ...changes,
  });

function opened(plan: HttpPlan, changes: Partial<DoorRequest> = {}) {
  arrived.length = 0;
  status = 200;
  return host.door(doorRequest(plan, changes));
}

test("before the effect there is nothing to look for, and without a plan for it neither", async () => {
  const early = opened(planned());
  expect(await early.readBack()).toBe("not_granted");
  await early.close();
  const without = opened(planned({ readBack: null }));
  await without.call(callFor(planned()));
  expect(await without.readBack()).toBe("not_granted");
  await without.close();
  expect(arrived.map((one) => one.split(" ")[0])).toEqual(["POST"]);
});

test("it gets what the plan says, with the credential, which is taken out of the answer", async () => {
  const plan = planned();
  const door = opened(plan);
  await door.call(callFor(plan));
  const answer = await door.readBack();
  if (typeof answer === "string") throw new Error(answer);
  expect(Buffer.from(answer.body).toString()).toBe('{"id":7,"echo":"[redacted]"}');
  // What the effect used is still searched for, and the write is still used up.
  expect(await door.scrub(`says ${TOKEN}`)).toBe("says [redacted]");
  expect(await door.call(callFor(plan))).toMatchObject({ err: "not_granted" });
  await door.close();
  expect(arrived).toEqual([`POST /items Bearer ${TOKEN}`, `GET /items/7 Bearer ${TOKEN}`]);
  expect(door.redactions()).toBe(3);
  expect(source.out.size).toBe(0);
  expect(door.effects().slice(0, 2)).toMatchObject([
    { purpose: "effect", method: "POST", status: 201, scrubbed: 1 },
    { purpose: "read_back", method: "GET", target: "/items/7", status: 200, scrubbed: 1, secrets: ["TOKEN"] },
  ]);
});

test("each counts as a host call", async () => {
  const plan = planned();
  const door = opened(plan, { limits: { ...LIMITS, ioCalls: 2 } });
  await door.call(callFor(plan));
  status = 404;
  expect(await door.readBack()).toMatchObject({ status: 404 });
  expect(await door.readBack()).toBe("io_budget_exceeded");
  await door.close();
  expect(arrived.length).toBe(2);
});

test("without the grant of its credential it is refused, as the effect was", async () => {
  const plan = planned({ secrets: [] });
  const door = opened(plan, { secrets: [] });
  await door.call(callFor(plan));
  expect(await door.readBack()).toBe("not_granted");
  await door.close();
  expect(arrived).toEqual(["POST /items "]);
  expect(door.effects().at(-1)).toMatchObject({
    purpose: "read_back",
    reached: "none",
    error: "not_granted",
  });
});

test("it ends with the call, and leaves a record of how", async () => {
  const plan = planned();
  const cancel = new AbortController();
  const door = opened(plan, { signal: cancel.signal });
  await door.call(callFor(plan));
  silent = true;
  const looking = door.readBack();
  cancel.abort();
  expect(await looking).toBe("cancelled");
  silent = false;
  expect(await door.readBack()).toBe("cancelled");
  await door.close();
  expect(door.effects().at(-1)).toMatchObject({ purpose: "read_back", error: "cancelled" });
});

test.each<[string, unknown, string]>([
  ["a number", 7, "7"],
  ["text with every delimiter", "a/b?c#d:e@f&g=h%41 é", "a%2Fb%3Fc%23d%3Ae%40f%26g%3Dh%2541%20%C3%A9"],
  ["another placeholder", "{other}", "%7Bother%7D"],
  ["three dots", "...", "..."],
])("%s of the answer stays one segment", (_, id, shown) => {
  const answer = Buffer.from(JSON.stringify({ id }));
  expect(readBackUrl(back(), answer)).toBe(`https://api.example.com/items/${shown}`);
});

test.each<[string, string]>([
  ["no json", "<html>"],
  ["no such member", "{}"],
  ["an empty text", '{"id":""}'],
  ["a fraction", '{"id":1.5}'],
  ["a list", '{"id":["x"]}'],
  ["a boolean", '{"id":true}'],
  ["null", '{"id":null}'],
  ["a dot", '{"id":"."}'],
  ["two dots", '{"id":".."}'],
  ["encoded dots", '{"id":"%2e%2e"}'],
  ["dots between encoded slashes", '{"id":"a/../b"}'],
  ["dots between encoded backslashes", '{"id":"a\\\\..\\\\b"}'],
  ["a lone surrogate", '{"id":"\\ud800"}'],
  ["a long text", `{"id":"${"x".repeat(257)}"}`],
])("%s in the answer leads nowhere", (_, answer) => {
  expect(() => readBackUrl(back(), Buffer.from(answer))).toThrow(
    expect.objectContaining({ code: "malformed_response" }),
  );
});
