import { describe, expect, test } from "bun:test";
import type { JsonObject } from "../../src/core/json.ts";
import { NO_CONNECTIONS, type QueueConnection } from "../../src/core/plan/connections.ts";
import { actionOf, parse, queueText } from "./manifests.ts";

const JOBS: QueueConnection = {
  server: { host: "mq.example.com", port: 5671, user: "gate", tls: "verify" },
  vhost: "/",
  exchanges: null,
  routingKeys: null,
  secret: "MQ_PASSWORD",
  ca: null,
};
const SECTION: JsonObject = {
  connection: "jobs",
  exchange: { $param: "exchange" },
  routing_key: { $param: "key" },
  payload: { json: { order: { $param: "order" } } },
  headers: { "x-tag": { $param: "tag" } },
  exchanges: ["orders", ""],
  routing_keys: ["new", "eu.*"],
};
const ORDER = { exchange: "orders", key: "new", order: 1 };

const changed = (changes: JsonObject) =>
  Object.fromEntries(Object.entries({ ...SECTION, ...changes }).filter(([, value]) => value !== null));

function planned(params: JsonObject, changes: JsonObject = {}, connection: Partial<QueueConnection> = {}) {
  const queue = new Map([["jobs", { ...JOBS, ...connection }]]);
  const action = actionOf(queueText({ queue: changed(changes) }));
  return action.plan(params, { fsRoot: null, connections: { ...NO_CONNECTIONS, queue } });
}
const code = (result: ReturnType<typeof planned>) => (result.ok ? "ok" : result.code);

test("a message is planned with the facts of its connection", () => {
  const result = planned({ ...ORDER, order: { b: 2, a: '"' }, tag: "t" });
  if (!result.ok) throw new Error(result.message);
  expect(result.plan).toEqual({
    kind: "queue",
    connection: "jobs",
    server: JOBS.server,
    vhost: "/",
    exchange: "orders",
    routingKey: "new",
    payload: Buffer.from('{"order":{"a":"\\"","b":2}}'),
    contentType: "application/json",
    headers: [["x-tag", "t"]],
    secret: "MQ_PASSWORD",
  });
});

test.each([
  ["orders", "new", "ok"],
  ["", "new", "ok"],
  ["orders", "eu.de", "ok"],
  ["orders", "eu.", "ok"],
  ["orders", "eu", "destination_not_allowed"],
  ["orders", "newer", "destination_not_allowed"],
  ["orders", "NEW", "destination_not_allowed"],
  ["payroll", "new", "destination_not_allowed"],
  ["amq.direct", "new", "destination_not_allowed"],
  ["orders\n", "new", "destination_invalid"],
  ["orders", "", "destination_invalid"],
  ["orders", "eu.\u0000", "destination_invalid"],
  ["orders", `eu.${"x".repeat(253)}`, "destination_invalid"],
])("exchange %j, key %j: %s", (exchange, key, wanted) => {
  expect(code(planned({ ...ORDER, exchange, key }))).toBe(wanted);
});

describe("what the operator opened", () => {
  test("manifest and connection must both list a key and an exchange that either lists", () => {
    expect(code(planned(ORDER, {}, { routingKeys: ["n*"] }))).toBe("ok");
    expect(code(planned(ORDER, {}, { routingKeys: ["eu.*"] }))).toBe("destination_not_allowed");
    expect(code(planned(ORDER, { routing_keys: null }, { routingKeys: ["new"] }))).toBe("ok");
    expect(code(planned(ORDER, { routing_keys: null }))).toBe("destination_not_allowed");
    expect(code(planned(ORDER, {}, { exchanges: ["payroll"] }))).toBe("destination_not_allowed");
    expect(code(planned(ORDER, { exchanges: null }, { exchanges: ["orders"] }))).toBe("ok");
    expect(code(planned(ORDER, { exchanges: null }))).toBe("destination_not_allowed");
  });

  test("a fixed destination needs no list", () => {
    expect(
      code(planned(ORDER, { exchange: "", routing_key: "mails", exchanges: null, routing_keys: null })),
    ).toBe("ok");
  });
});

test.each([
  [{ tag: "a\r\nb" }, "destination_invalid"],
  [{ order: "x".repeat(64 * 1024) }, "request_too_large"],
])("%j: %s", (changes, wanted) => {
  expect(code(planned({ ...ORDER, ...changes }))).toBe(wanted);
});

test.each([
  [{ exchange: "a b" }, "queue.exchange"],
  [{ routing_keys: ["*"] }, "queue.routing_keys.0"],
  [{ routing_keys: ["a*b"] }, "queue.routing_keys.0"],
  [{ routing_key: "a b" }, "queue"],
  [{ headers: { CC: "other" } }, "queue.headers.CC"],
  [{ payload: {} }, "queue.payload"],
  [{ payload: { json: { $x: 1 } } }, "queue.payload.json.$x"],
  [{ expiration: 1 }, "queue.expiration"],
])("%j has no place in a manifest", (changes, path) => {
  const result = parse(queueText({ queue: changed(changes) }));
  expect(result.ok ? [] : result.problems.map((problem) => problem.path)).toContain(path);
});

test("a weaker manifest of the same id must say why", async () => {
  const { weakenings } = await import("../../src/actions/override.ts");
  const manifest = (changes: JsonObject) => {
    const result = parse(queueText({ queue: changed(changes) }));
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.manifest;
  };
  const before = manifest({});
  expect(weakenings(before, manifest({ exchanges: ["orders"] }))).toEqual([]);
  for (const wider of [
    { exchanges: ["payroll"] },
    { routing_keys: ["eu*"] },
    { routing_keys: null },
    { exchange: "orders" },
  ])
    expect(weakenings(before, manifest(wider))).toHaveLength(1);
});
