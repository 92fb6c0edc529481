import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Json } from "../../src/core/json.ts";
import { Bench, errorOf, jsonOf } from "../client/bench.ts";
import { executed, HELD, type Reply, UUID } from "../client/fake-gate.ts";

const EXECUTE = "POST /v1/actions/act/execute";
const SCHEMA = "GET /v1/actions/act/schema/request";
const POLL = `GET /v1/approvals/${UUID}/poll`;

let bench: Bench;
beforeEach(async () => {
  bench = await new Bench().start();
});
afterEach(() => bench.stop());

function sentParams(): Json {
  const [call] = bench.gate.calls(EXECUTE);
  return JSON.parse(call?.body ?? "null") as Json;
}

describe("a call that is executed", () => {
  test("prints the output alone, compact when piped, the receipt on stderr, and exits 0", async () => {
    bench.gate.on(EXECUTE, executed({ a: [1, 2], b: "x\u009b" }));
    const ended = await bench.run(["execute", "act"]);
    expect(ended).toEqual({ code: 0, stdout: '{"a":[1,2],"b":"x\\u009b"}\n', stderr: `receipt ${UUID}\n` });
    expect(sentParams()).toEqual({});
  });

  test("prints the whole answer with --json and nothing on stderr", async () => {
    bench.gate.on(EXECUTE, executed({ a: 1 }));
    const ended = await bench.run(["execute", "act", "--json"]);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toBe("");
    expect(jsonOf(ended)).toMatchObject({ decision: "executed", receipt_id: UUID, output: { a: 1 } });
  });

  test("is pretty on a terminal", async () => {
    bench.gate.on(EXECUTE, executed({ a: 1 }));
    const { code, screen } = await bench.runOnTerminal(["execute", "act"]);
    expect(code).toBe(0);
    expect(screen).toContain('{\r\n  "a": 1\r\n}\r\n');
  });

  test("costs one round trip once key and lease are there", async () => {
    bench.gate.on(EXECUTE, executed(null));
    await bench.run(["execute", "act", "title=hello"]);
    expect(bench.gate.seen.map((seen) => seen.target)).toEqual(["/v1/leases", "/v1/actions/act/execute"]);
    await bench.run(["execute", "act", "title=hello"]);
    expect(bench.gate.seen).toHaveLength(3);
  });

  test("passes the idempotency key and asks for a dry run", async () => {
    bench.gate.on(EXECUTE, { status: 200, body: { decision: "would_execute", dry_run: true, reasons: [] } });
    const ended = await bench.run(["execute", "act", "--dry-run", "--idempotency-key", "k-1"]);
    expect(ended.code).toBe(0);
    expect(jsonOf(ended)).toMatchObject({ decision: "would_execute" });
    const [call] = bench.gate.calls(EXECUTE);
    expect(call?.target).toBe("/v1/actions/act/execute?dry_run=1");
    expect(call?.headers["idempotency-key"]).toBe("k-1");
  });

  test("is told from one whose effect could not be confirmed", async () => {
    const unconfirmed = { verification: { outcome: "verification_failed", is_fully_successful: false } };
    bench.gate.on(EXECUTE, executed({ a: 1 }, unconfirmed));
    const ended = await bench.run(["execute", "act"]);
    expect(ended.code).toBe(7);
    expect(ended.stdout).toBe('{"a":1}\n');
    expect(ended.stderr).toContain("verification_failed (not_confirmed)");
  });

  test("ends well although nobody reads its output", async () => {
    bench.gate.on(EXECUTE, executed("x".repeat(200_000)));
    const main = join(import.meta.dir, "../../src/main.ts");
    const child = Bun.spawn(
      ["sh", "-c", '"$@" | head -c 1', "sh", process.execPath, main, "execute", "act"],
      {
        env: bench.env,
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const stderr = await new Response(child.stderr).text();
    expect(stderr).toBe(`receipt ${UUID}\n`);
  });
});

describe("parameters", () => {
  const schema = {
    type: "object",
    additionalProperties: false,
    properties: {
      title: { type: "string" },
      count: { type: "integer" },
      ratio: { type: "number" },
      draft: { type: "boolean" },
      tags: { type: "array" },
      content: { type: "string", contentEncoding: "base64" },
      note: { type: ["string", "null"] },
    },
  };

  beforeEach(() => {
    bench.gate.on(SCHEMA, { status: 200, body: schema });
    bench.gate.on(EXECUTE, executed(null));
  });

  test("take their types from the action's schema", async () => {
    writeFileSync(join(bench.dir, "text.txt"), "l\u00e4sst\n");
    writeFileSync(join(bench.dir, "blob.bin"), Buffer.from([0, 255, 128]));
    const words = [
      "title=5",
      "count=5",
      "ratio=-0.5",
      "draft=true",
      'tags:=["a",1]',
      "content=@blob.bin",
      "note=@text.txt",
    ];
    const ended = await bench.run(["execute", "act", ...words]);
    expect(ended.stderr).toBe(`receipt ${UUID}\n`);
    expect(sentParams()).toEqual({
      title: "5",
      count: 5,
      ratio: -0.5,
      draft: true,
      tags: ["a", 1],
      content: "AP+A",
      note: "l\u00e4sst\n",
    });
  });

  test("ask for the schema once per lease", async () => {
    await bench.run(["execute", "act", "count=1"]);
    await bench.run(["execute", "act", "count=2"]);
    expect(bench.gate.calls(SCHEMA)).toHaveLength(1);
    expect(bench.gate.seen).toHaveLength(4);
  });

  test("come as a JSON object from the flag, a file or stdin", async () => {
    writeFileSync(join(bench.dir, "params.json"), '{"title":"f"}');
    await bench.run(["execute", "act", "--params", '{"title":"p"}', "count:=3"]);
    await bench.run(["execute", "act", "--params=@params.json"]);
    await bench.run(["execute", "act", "--params", "-"], { stdin: '{"title":"s"}' });
    const bodies = bench.gate.calls(EXECUTE).map((call) => JSON.parse(call.body) as Json);
    expect(bodies).toEqual([{ title: "p", count: 3 }, { title: "f" }, { title: "s" }]);
  });

  test("that an action with a changed schema refuses are read anew", async () => {
    await bench.run(["execute", "act", "count=1"]);
    bench.gate.on(EXECUTE, {
      status: 422,
      body: { error: "schema_violation", message: "count must be a string" },
    });
    bench.gate.on(SCHEMA, {
      status: 200,
      body: { type: "object", properties: { count: { type: "string" } } },
    });
    const refused = await bench.run(["execute", "act", "count=1", "--json"]);
    expect(refused.code).toBe(1);
    expect(errorOf(refused)).toMatchObject({
      code: "schema_violation",
      hint: "the action's parameters have changed since they were last read; run the command again",
    });
    bench.gate.on(EXECUTE, executed(null));
    await bench.run(["execute", "act", "count=1"]);
    expect(JSON.parse(bench.gate.calls(EXECUTE).at(-1)?.body ?? "")).toEqual({ count: "1" });
  });

  const refused: [why: string, words: string[], message: string][] = [
    ["not an integer", ["count=1.5"], '"count" takes integer, and "1.5" is none'],
    [
      "beyond what a number holds",
      ["count=9007199254740993"],
      "count is not valid json: integer beyond 2^53 - 1",
    ],
    ["an unknown name", ["cuont=1"], 'the action has no parameter "cuont"'],
    ["a list that is no json", ["tags=true"], '"tags" takes array, and "true" is none'],
    ["given twice", ["title=a", "title=b"], '"title" is given twice'],
    ["given twice, once in --params", ["--params", '{"title":1}', "title=b"], '"title" is given twice'],
    ["broken json", ["tags:=[1,"], "tags is not valid json: unexpected text"],
    ["duplicate members", ['tags:={"a":1,"a":2}'], "tags is not valid json: duplicate member"],
    ["no parameter at all", ["title"], '"title" is no parameter'],
    ["without a name", ["=x"], '"=x" is no parameter'],
    ["a prototype", ["__proto__:={}"], '"__proto__" cannot be a parameter'],
    ["a list in --params", ["--params", "[]"], "--params is not a json object"],
    ["a file that is not there", ["note=@missing"], 'cannot read "missing"'],
  ];
  for (const [why, words, message] of refused)
    test(`are refused before anything is sent: ${why}`, async () => {
      const ended = await bench.run(["execute", "act", "--json", ...words]);
      expect(ended.code).toBe(2);
      expect(errorOf(ended)).toMatchObject({ code: "usage" });
      expect(errorOf(ended).message).toContain(message);
      expect(bench.gate.calls(EXECUTE)).toHaveLength(0);
    });

  test("that are not text are refused where text is taken", async () => {
    writeFileSync(join(bench.dir, "blob.bin"), Buffer.from([0, 255, 128]));
    const ended = await bench.run(["execute", "act", "note=@blob.bin"]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("is not utf-8 text");
  });
});

describe("exit codes", () => {
  const cases: [name: string, reply: Reply, code: number, error: string][] = [
    ["held", HELD, 6, "pending_approval"],
    [
      "denied by policy",
      { status: 403, body: { error: "policy_denied", message: "no", hint: "ask" } },
      4,
      "policy_denied",
    ],
    [
      "no lease for this account",
      { status: 401, body: { error: "identity_unauthenticated" } },
      4,
      "identity_unauthenticated",
    ],
    ["out of budget", { status: 429, body: { error: "budget_exhausted" } }, 4, "budget_exhausted"],
    ["unknown action", { status: 404, body: { error: "action_not_found" } }, 3, "action_not_found"],
    ["unknown route with an empty body", { status: 404 }, 3, "not_found"],
    [
      "parameters that do not fit",
      { status: 422, body: { error: "schema_violation" } },
      1,
      "schema_violation",
    ],
    [
      "a request that the gate does not like",
      { status: 400, body: { error: "bad_request" } },
      1,
      "bad_request",
    ],
    ["conflict", { status: 409, body: { error: "conflict" } }, 1, "conflict"],
    ["rate limit", { status: 429, body: { error: "rate_limited" } }, 1, "rate_limited"],
    ["draining", { status: 503, body: { error: "draining" } }, 1, "draining"],
    [
      "failed after dispatch",
      { status: 502, body: { error: "action_execution_failed", receipt_id: UUID, dispatched: "yes" } },
      7,
      "action_execution_failed",
    ],
    [
      "perhaps dispatched",
      { status: 502, body: { error: "action_execution_failed", receipt_id: UUID, dispatched: "unknown" } },
      7,
      "action_execution_failed",
    ],
    [
      "response refused after dispatch",
      { status: 422, body: { error: "schema_violation", receipt_id: UUID } },
      7,
      "schema_violation",
    ],
    [
      "failed before dispatch",
      { status: 502, body: { error: "action_execution_failed", receipt_id: UUID, dispatched: "no" } },
      1,
      "action_execution_failed",
    ],
    [
      "evidence lost after the effect",
      { status: 500, body: { error: "evidence_persistence_failed" } },
      7,
      "evidence_persistence_failed",
    ],
    ["an answer that is no json", { status: 200, raw: "<html>" }, 7, "effect_unknown"],
    ["an answer of another shape", { status: 200, body: { decision: "executed" } }, 7, "effect_unknown"],
    ["an answer that is no object", { status: 200, body: null }, 7, "effect_unknown"],
    ["a refusal that is no json", { status: 500, raw: "oops" }, 1, "unexpected_status_500"],
    ["a refusal with a null body", { status: 403, body: null }, 4, "forbidden"],
    [
      "a redirect",
      { status: 302, headers: { location: "http://localhost/elsewhere" } },
      1,
      "unexpected_status_302",
    ],
    ["a broken connection", { status: 200, breakOff: true }, 7, "effect_unknown"],
  ];
  for (const [name, reply, code, error] of cases)
    test(`${code}: ${name}`, async () => {
      bench.gate.on(EXECUTE, reply);
      const ended = await bench.run(["execute", "act", "--json"]);
      expect(errorOf(ended).code).toBe(error);
      expect(ended.code).toBe(code);
      expect(bench.gate.calls(EXECUTE)).toHaveLength(1);
    });

  test("4: what a dry run says would be denied; 6: what would be held", async () => {
    bench.gate.on(EXECUTE, {
      status: 200,
      body: { decision: "would_deny", reasons: [{ code: "acl_denied", text: "no" }] },
    });
    const denied = await bench.run(["execute", "act", "--dry-run", "--json"]);
    expect([denied.code, errorOf(denied).code]).toEqual([4, "would_deny"]);
    expect(jsonOf(denied)).toMatchObject({ decision: "would_deny" });
    bench.gate.on(EXECUTE, { status: 200, body: { decision: "would_hold" } });
    expect((await bench.run(["execute", "act", "--dry-run"])).code).toBe(6);
  });

  test("5: no gate answers", async () => {
    const ended = await bench.run(["execute", "act", "--json"], {
      env: { LATCHGATE_SOCKET: join(bench.dir, "none.sock") },
    });
    expect(ended.code).toBe(5);
    expect(errorOf(ended)).toMatchObject({ code: "gate_unreachable" });
  });

  test("5: nothing says where a gate is", async () => {
    const ended = await bench.run(["execute", "act", "--json"], { env: { LATCHGATE_SOCKET: "" } });
    expect(ended.code).toBe(5);
    expect(errorOf(ended)).toMatchObject({ code: "gate_not_configured" });
  });

  test("2: an action id that would change the path", async () => {
    const ended = await bench.run(["execute", "../leases", "--json"]);
    expect(ended.code).toBe(2);
    expect(bench.gate.seen).toHaveLength(0);
  });

  test("a lost lease request is no lost effect", async () => {
    bench.gate.on("POST /v1/leases", { status: 200, breakOff: true });
    const ended = await bench.run(["execute", "act", "--json"]);
    expect([ended.code, errorOf(ended).code]).toEqual([1, "gate_connection_lost"]);
  });

  test("people get the message, the code and the hint", async () => {
    bench.gate.on(EXECUTE, {
      status: 403,
      body: {
        error: "policy_denied",
        deny_reason: "not\u001b[2J yours",
        remediation: "Run: latchgate policy grant",
      },
    });
    const ended = await bench.run(["execute", "act"]);
    expect(ended.stderr).toBe(
      "error: not\\u001b[2J yours (policy_denied)\nhint: Run: latchgate policy grant\n",
    );
  });

  test("people get every reason", async () => {
    const reasons = [
      { code: "acl_denied", text: "not on the list" },
      { code: "risk", text: "too much risk" },
    ];
    bench.gate.on(EXECUTE, {
      status: 403,
      body: { error: "policy_denied", message: "denied: not on the list", reasons },
    });
    expect((await bench.run(["execute", "act"])).stderr).toBe(
      "error: denied: not on the list: too much risk (policy_denied)\n",
    );
    bench.gate.on(EXECUTE, {
      status: 422,
      body: { error: "schema_violation", message: "no fit", reason: "/a must be text" },
    });
    expect((await bench.run(["execute", "act"])).stderr).toBe(
      "error: no fit: /a must be text (schema_violation)\n",
    );
  });

  test("a held call names the approval and how to decide it", async () => {
    bench.gate.on(EXECUTE, HELD);
    const ended = await bench.run(["execute", "act"]);
    expect(ended.stdout).toBe("");
    expect(ended.stderr).toContain(`latchgate approvals approve ${UUID}`);
  });
});

describe("--wait", () => {
  beforeEach(() => bench.gate.on(EXECUTE, HELD));

  /** Answers polls one after the other, the last one for ever. */
  function polls(...replies: Json[]): void {
    let next = 0;
    bench.gate.on(POLL, () => ({ status: 200, body: replies[Math.min(next++, replies.length - 1)] ?? null }));
  }

  test("prints the result once the call has been approved", async () => {
    polls({ status: "pending", retry_after_seconds: 1 }, {
      ...(executed({ done: true }).body as object),
      status: "approved",
    } as Json);
    const ended = await bench.run(["execute", "act", "--wait"]);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toBe('{"done":true}\n');
    expect(bench.gate.calls(POLL)).toHaveLength(2);
  });

  const ends: [Json, number, string][] = [
    [{ status: "denied", reason: "not today" }, 4, "approval_denied"],
    [{ status: "expired" }, 4, "approval_expired"],
    [{ status: "failed", reason: "the action has changed" }, 1, "approval_failed"],
    [{ status: "failed", reason: "x", receipt_id: UUID, dispatched: "no" }, 1, "approval_failed"],
    [{ status: "failed", reason: "x", receipt_id: UUID, dispatched: "yes" }, 7, "approval_failed"],
    [{ status: "timed_out", receipt_id: UUID }, 7, "approval_timed_out"],
    [{ status: "something new" }, 7, "approval_something new"],
  ];
  for (const [reply, code, error] of ends)
    test(`ends with ${code} on ${JSON.stringify(reply)}`, async () => {
      polls(reply);
      const ended = await bench.run(["execute", "act", "--wait", "--json"]);
      expect([ended.code, errorOf(ended).code]).toEqual([code, error]);
    });

  test("ends with 6 when nobody decides in time", async () => {
    polls({ status: "pending", retry_after_seconds: 30 });
    const ended = await bench.run(["execute", "act", "--wait=0", "--json"]);
    expect([ended.code, errorOf(ended).code]).toEqual([6, "pending_approval"]);
  });

  test("keeps the approval id in sight when waiting fails", async () => {
    bench.gate.on(POLL, { status: 503, body: { error: "store_unavailable" } });
    const ended = await bench.run(["execute", "act", "--wait", "--json"]);
    expect([ended.code, errorOf(ended).code]).toEqual([6, "store_unavailable"]);
    expect(errorOf(ended).message).toContain(UUID);
  });

  for (const bad of ["x", "-1", "1.5", "100000"])
    test(`refuses --wait=${bad}`, async () => {
      expect((await bench.run(["execute", "act", `--wait=${bad}`])).code).toBe(2);
    });
});
