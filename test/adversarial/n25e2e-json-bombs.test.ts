import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startUpstream, type Upstream, withUpstream } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { proof, send, WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;

beforeAll(async () => {
  upstream = await startUpstream();
  gate = await startGate(
    withUpstream(upstream, ["http_post"], {
      policy: openPolicy(),
      config: "[limits]\ndenials_per_minute = 100000",
    }),
  );
  agent = await WireAgent.connect(gate.clientSocket);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

const PATH = "/v1/actions/http_post/execute";
const MIB = 1 << 20;

async function post(body: string | Uint8Array): Promise<WireAnswer> {
  return send(gate.clientSocket, {
    method: "POST",
    path: PATH,
    headers: {
      authorization: `DPoP ${agent.lease}`,
      dpop: await proof(agent.key, agent.lease, "POST", PATH),
    },
    body,
  });
}

function count(type: string): number {
  const db = new Database(gate.ledger, { readonly: true });
  try {
    return (
      db.query<{ n: number }, [string]>("SELECT count(*) AS n FROM entries WHERE type = ?").get(type)?.n ?? -1
    );
  } finally {
    db.close();
  }
}

/** A request around a body that is written as given. */
const around = (body: string) => `{"url":"${upstream.origin}/x","body":${body}}`;

const REFUSED: readonly (readonly [what: string, body: () => string | Uint8Array, fault: string])[] = [
  [
    "a duplicate key",
    () => `{"url":"${upstream.origin}/a","url":"${upstream.origin}/b","body":1}`,
    "duplicate_member",
  ],
  [
    "a duplicate key, once escaped",
    () => `{"url":"${upstream.origin}/a","\\u0075rl":"${upstream.origin}/b","body":1}`,
    "duplicate_member",
  ],
  ["a duplicate key deep inside", () => around('{"a":[{"b":{"c":1,"c":2}}]}'), "duplicate_member"],
  ["an integer beyond 2^53", () => around('{"amount":9007199254740993}'), "unsafe_integer"],
  ["a number that overflows", () => around('{"amount":1e999}'), "number_out_of_range"],
  ["a lone surrogate", () => around('{"title":"\\ud800"}'), "lone_surrogate"],
  ["a lone surrogate in a name", () => around('{"\\udfff":1}'), "lone_surrogate"],
  ["__proto__", () => around('{"__proto__":{"admin":true}}'), "forbidden_member"],
  [
    "bytes that are no utf-8",
    () => Buffer.concat([Buffer.from(`{"url":"`), Uint8Array.of(0xff), Buffer.from(`"}`)]),
    "not_utf8",
  ],
  ["arrays nested far too deep", () => around("[".repeat(50_000)), "too_deep"],
  ["objects nested too deep", () => around(`${'{"a":'.repeat(11)}1${"}".repeat(11)}`), "too_deep"],
  ["an array too long", () => around(`[${"0,".repeat(100)}0]`), "array_too_long"],
  ["a body over the action's limit", () => around(`"${"a".repeat(300_000)}"`), "too_large"],
  ["text after the end", () => `${around("1")} {}`, "syntax"],
  ["a comment", () => around("/* 1 */ 1"), "syntax"],
];

describe("N25: refused before it is hashed, planned, or granted", () => {
  test.each(REFUSED)("%s", async (_what, body, fault) => {
    const denied = count("call.denied");
    const refused = await post(body());
    expect([refused.status, refused.body.error]).toEqual([422, "schema_violation"]);
    expect(refused.body.reason).toStartWith(fault);
    expect(refused.body.request_hash).toBeUndefined();
    expect(refused.text.length).toBeLessThan(1000);
    expect(count("call.denied")).toBe(denied + 1);
    expect([count("call.granted"), count("call.held"), upstream.requests.length]).toEqual([0, 0, 0]);
  });

  test("a body over the transport's limit is 413, before it is read to its end", async () => {
    const refused = await post(around(`"${"a".repeat(2 * MIB)}"`));
    expect(refused.status).toBe(413);
    expect(refused.body.error).toBeString();
    expect(count("call.granted")).toBe(0);
  });

  test("a lease request is read as strictly", async () => {
    for (const [body, status] of [
      [`{"scopes":["tools:call"],"scopes":["audit:read"],"dpop_jwk":${JSON.stringify(agent.key.jwk)}}`, 400],
      [`${"[".repeat(100_000)}`, 400],
      [`{"scopes":["${"a".repeat(2 * MIB)}"]}`, 413],
    ] as const) {
      const refused = await send(gate.clientSocket, { method: "POST", path: "/v1/leases", body });
      expect(refused.status).toBe(status);
    }
    expect(count("lease.issued")).toBe(1);
  });

  test("an operator's decision is read as strictly", async () => {
    const operator = await WireOperator.of(gate);
    const path = "/v1/approvals/01a205ba-0000-7000-8000-000000000000/deny";
    for (const body of ['{"reason":"a","reason":"b"}', '{"reason":"\\ud800"}', "[".repeat(10_000)])
      expect((await operator.call("POST", path, body)).status).toBe(400);
  });

  test("the gate has taken no harm, and a sound request goes through", async () => {
    const done = await post(around('{"amount":9007199254740991,"title":"\\ud83d\\ude00"}'));
    expect(done.status).toBe(200);
    expect(upstream.requests.map(({ body }) => body.toString())).toEqual([
      '{"amount":9007199254740991,"title":"\u{1f600}"}',
    ]);
    expect([count("call.granted"), count("call.receipt")]).toEqual([1, 1]);
  });
});
