/** A component that computes its own requests, through the binary: what its envelope lets through, and what not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { verifyLedgerFile } from "../../src/ledger/verify/file.ts";
import { readTrust } from "../../src/ledger/verify/trust.ts";
import { envelopeText, type Members } from "../actions/manifests.ts";
import { digestOf, type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, readRows, rewrite } from "../ledger/forge.ts";
import { scriptGuest } from "../sandbox/script-guest.ts";
import { type Upstream as Other, startUpstream as startOther } from "../upstream.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";
import { answer, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

const KEY = "key_0123456789abcdef";

/** Makes each request of its parameters, one after the other, and tells what came of each. */
const COMPONENT = `
import { request } from "latchgate:provider/io-http@0.1.0";
export function execute(task) {
  const { params } = JSON.parse(task);
  const told = [];
  for (const { method = "GET", url, headers = [], body } of params.requests) {
    try {
      const bytes = body === undefined ? undefined : Uint8Array.from(body, (one) => one.charCodeAt(0));
      const answer = request({ method, url, headers, body: bytes, timeoutMs: 0 });
      told.push({ status: answer.status, headers: answer.headers, body: String.fromCharCode(...answer.body) });
    } catch (error) {
      told.push(error.payload ?? String(error));
    }
  }
  return JSON.stringify({ ok: true, told });
}
`;

let upstream: Upstream;
let other: Other;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;
let component: Uint8Array;

interface Asked {
  readonly method?: string;
  readonly url?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}

const ACTIONS = ["compute", "compute_held", "compute_wild", "compute_expect"];

beforeAll(async () => {
  component = await scriptGuest(COMPONENT, { interfaces: ["io-http"] });
  upstream = await startUpstream({
    "/items/moved": (socket) => answer(socket, 302, "", ["location: https://evil.example/"]),
    "/items/echo": (socket, request) => answer(socket, 200, request.raw),
    "/items/none": (socket) => answer(socket, 404, "{}"),
  });
  other = await startOther((request, response) => {
    response.end(request.headers.authorization ?? `nothing, but ${KEY}`);
  });
  const manifest = (id: string, changes: Members = {}, target: Members = {}) =>
    envelopeText({
      id,
      provider: digestOf(component),
      params: {
        type: "object",
        required: ["requests"],
        properties: {
          requests: { type: "array", maxItems: 8, items: { type: "object", additionalProperties: true } },
        },
      },
      envelope: {
        targets: [
          {
            hosts: [upstream.host],
            methods: ["GET", "PUT"],
            paths: ["/items"],
            ports: [upstream.port],
            ...target,
          },
          { hosts: ["service.test"], methods: ["GET"], paths: ["/"], ports: [other.port] },
        ],
        calls: 3,
      },
      limits: { io_calls: 8, fuel: 50_000_000 },
      auth: [{ secret: "API_KEY", in: "bearer", hosts: [upstream.host], required: false }],
      response: { headers: ["location"] },
      ...changes,
    });
  const local = ACTIONS.map(
    (action) => `[[egress.local]]
action = "${action}"
methods = ["GET", "PUT"]
path_prefix = "/"
host = "service.test"
address = "127.0.0.1"
port = ${other.port}
ca_file = "ca.pem"
`,
  );
  gate = await startGate(
    withUpstream(upstream, ACTIONS, {
      policy: openPolicy(undefined, { actions: ACTIONS }),
      components: [component],
      config: local.join("\n"),
      files: other.setup.files,
      actions: {
        "compute.yaml": manifest("compute"),
        "held.yaml": manifest("compute_held", { risk: { level: "high" } }),
        "wild.yaml": manifest(
          "compute_wild",
          { auth: [] },
          { hosts: ["*.test"].map(() => "*.api.test"), ports: [443] },
        ),
        "expect.yaml": manifest("compute_expect", {
          verify: { kind: "envelope", status: [200, 302], calls: { min: 2 } },
        }),
      },
    }),
  );
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
}, 120_000);
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
  await other[Symbol.asyncDispose]();
});

const items = (path = "") => `${upstream.origin}/items${path}`;
const run = (requests: readonly Asked[], action = "compute", more: Record<string, string> = {}) =>
  agent.execute(action, { requests }, more);

describe("inside", () => {
  test("each request is made and stands in the receipt, and the action is verified by all of them", async () => {
    const before = upstream.requests.length;
    const done = await run([
      { url: items() },
      {
        method: "PUT",
        url: items("/7?x=%2f"),
        body: '{"a":1}',
        headers: [["content-type", "application/json"]],
      },
      { url: `${other.url}deep/down` },
    ]);
    expect(done.body).toMatchObject({ status: "executed", dispatched: "yes" });
    expect(done.body.output.told.map(({ status }: { status: number }) => status)).toEqual([200, 200, 200]);
    const sent = upstream.requests.slice(before);
    expect(sent.map(({ method, target, body }) => [method, target, body.toString()])).toEqual([
      ["GET", "/items", ""],
      ["PUT", "/items/7?x=%2f", '{"a":1}'],
    ]);
    const receipt = (await agent.receipt(done.body.receipt_id)).body;
    expect(receipt.effect_evidence).toHaveLength(3);
    for (const effect of receipt.effect_evidence)
      expect(effect).toMatchObject({ kind: "http", reached: "confirmed", error: null });
    expect(receipt.effect_evidence.map(({ origin }: { origin: string }) => origin)).toEqual([
      upstream.origin,
      upstream.origin,
      `https://service.test:${other.port}`,
    ]);
  });

  test("an expectation of statuses and numbers is held against them", async () => {
    expect((await run([{ url: items() }], "compute_expect")).body).toMatchObject({
      status: "verification_failed",
    });
    expect((await run([{ url: items() }, { url: items("/moved") }], "compute_expect")).body).toMatchObject({
      status: "executed",
    });
    const none = await run([{ url: items() }, { url: items("/none") }], "compute_expect");
    expect(none.body).toMatchObject({ status: "verification_failed", dispatched: "yes" });
  });

  test("a call that repeats its Idempotency-Key sends nothing again", async () => {
    const key = { "idempotency-key": "once" };
    const first = await run([{ url: items("/once") }], "compute", key);
    const before = upstream.requests.length;
    const again = await run([{ url: items("/once") }], "compute", key);
    expect(again.body.receipt_id).toBe(first.body.receipt_id);
    expect(upstream.requests.length).toBe(before);
  });

  test("a dry run shows the envelope, and what policy says of it", async () => {
    const shown = await agent.call(
      "POST",
      "/v1/actions/compute/execute?dry_run=1",
      JSON.stringify({ requests: [] }),
    );
    expect(shown.body).toMatchObject({
      decision: "would_execute",
      plan: { kind: "envelope", params: { requests: [] }, calls: 3, targets: [{ hosts: ["api.test"] }, {}] },
    });
    const wild = await agent.call(
      "POST",
      "/v1/actions/compute_wild/execute?dry_run=1",
      JSON.stringify({ requests: [] }),
    );
    expect(wild.body).toMatchObject({ decision: "would_hold", reasons: [{ code: "unresolved_host" }] });
    const told = await gate.run("actions", "compute", "--json");
    expect(JSON.parse(told.stdout)).toMatchObject({ envelope: { calls: 3 }, verification: "envelope" });
  });
});

describe("outside", () => {
  const ways: readonly (readonly [string, () => Asked, string])[] = [
    ["another host", () => ({ url: "https://evil.example/items" }), "host_not_allowed"],
    ["the host as a user name", () => ({ url: `https://api.test@evil.example/items` }), "url_invalid"],
    ["a user name", () => ({ url: items().replace("api.test", "ann:pw@api.test") }), "url_invalid"],
    ["a look-alike", () => ({ url: items().replace("api.test", "аpi.test") }), "host_not_allowed"],
    ["a host below", () => ({ url: items().replace("api.test", "x.api.test") }), "host_not_allowed"],
    ["its address", () => ({ url: items().replace("api.test", "127.0.0.1") }), "host_not_allowed"],
    ["another port", () => ({ url: `https://api.test:${other.port}/items` }), "port_not_allowed"],
    ["the default port", () => ({ url: "https://api.test/items" }), "port_not_allowed"],
    ["no TLS", () => ({ url: items().replace("https", "http") }), "scheme_not_allowed"],
    ["another method", () => ({ method: "DELETE", url: items() }), "operation_not_allowed"],
    ["a method of another host", () => ({ method: "PUT", url: other.url }), "operation_not_allowed"],
    ["a method in lower case", () => ({ method: "put", url: items() }), "operation_not_allowed"],
    ["another path", () => ({ url: `${upstream.origin}/admin` }), "path_not_allowed"],
    ["a path that begins alike", () => ({ url: items("x") }), "path_not_allowed"],
    ["dots that lead out", () => ({ url: items("/../admin") }), "path_not_allowed"],
    ["dots that lead back in", () => ({ url: `${upstream.origin}/admin/../items` }), "path_not_allowed"],
    ["encoded dots", () => ({ url: items("/%2e%2E/admin") }), "path_not_allowed"],
    ["dots, encoded twice", () => ({ url: items("/%252e%252e/admin") }), "path_not_allowed"],
    ["dots with a parameter", () => ({ url: items("/..;/admin") }), "path_not_allowed"],
    ["an encoded slash", () => ({ url: items("/..%2fadmin") }), "path_not_allowed"],
    ["an empty segment", () => ({ url: items("//admin") }), "path_not_allowed"],
    ["a backslash", () => ({ url: items("\\..\\admin") }), "url_invalid"],
    [
      "a header of the gate's",
      () => ({ url: items(), headers: [["host", "evil.example"]] }),
      "header_not_allowed",
    ],
    [
      "a credential of its own",
      () => ({ url: items(), headers: [["authorization", "x"]] }),
      "header_not_allowed",
    ],
    [
      "another method in a header",
      () => ({ url: items(), headers: [["x-http-method-override", "DELETE"]] }),
      "header_not_allowed",
    ],
    [
      "a second request in a header",
      () => ({ url: items(), headers: [["x", "1\r\n\r\nGET /admin"]] }),
      "header_not_allowed",
    ],
    ["a body in a GET", () => ({ url: items(), body: "x" }), "invalid_content"],
  ];

  test.each(ways)(
    "%s is refused, told in the receipt, and nobody hears of it",
    async (_what, asked, code) => {
      const before = [upstream.requests.length, other.requests.length];
      const done = await run([asked()]);
      expect(done.body).toMatchObject({ status: "failed", dispatched: "no", failure: code });
      const receipt = (await agent.receipt(done.body.receipt_id)).body;
      expect(receipt.effect_evidence).toMatchObject([
        { kind: "http", reached: "none", error: code, status: null },
      ]);
      expect([upstream.requests.length, other.requests.length]).toEqual(before);
      // With one inside beside it the component hears the code, and the action fails all the same.
      const both = await run([asked(), { url: items() }]);
      expect(both.body).toMatchObject({ status: "verification_failed", dispatched: "yes" });
      expect(both.body.output.told[0]).toBe(code);
      expect(both.body.output.told[1]).toMatchObject({ status: 200 });
    },
  );

  test("a call too many", async () => {
    const before = upstream.requests.length;
    const done = await run(Array(5).fill({ url: items() }));
    expect(done.body).toMatchObject({ status: "verification_failed" });
    expect(done.body.output.told.slice(3)).toEqual(["io_budget_exceeded", "io_budget_exceeded"]);
    expect(upstream.requests.length).toBe(before + 3);
    const receipt = (await agent.receipt(done.body.receipt_id)).body;
    expect(receipt.effect_evidence.map(({ error }: { error: string | null }) => error)).toEqual([
      null,
      null,
      null,
      "io_budget_exceeded",
    ]);
  });

  test("a redirect is not followed, and where it leads is judged as any request", async () => {
    const before = upstream.requests.length;
    const done = await run([{ url: items("/moved") }, { url: "https://evil.example/" }], "compute_expect");
    expect(done.body.output.told[0]).toMatchObject({
      status: 302,
      headers: [["location", "https://evil.example/"]],
    });
    expect(done.body.output.told[1]).toBe("host_not_allowed");
    expect(upstream.requests.length).toBe(before + 1);
  });

  test("what is asked by an agent that leaves out what the schema wants never reaches the component", async () => {
    expect((await agent.execute("compute", {})).status).toBe(422);
  });
});

test("a credential arrives at its own host alone, and comes back from none", async () => {
  const options = { cwd: gate.root, env: gate.env };
  expect((await runBinary(["secrets", "init"], options)).code).toBe(0);
  expect((await runBinary(["secrets", "set", "API_KEY"], { ...options, stdin: KEY })).code).toBe(0);
  const before = upstream.requests.length;
  const done = await run([{ url: items("/echo") }, { url: other.url }, { url: items("/echo") }]);
  expect(done.body).toMatchObject({ status: "executed" });
  const sent = upstream.requests.slice(before);
  expect(sent.map(({ headers }) => Object.fromEntries(headers).authorization)).toEqual([
    `Bearer ${KEY}`,
    `Bearer ${KEY}`,
  ]);
  expect(done.body.output.told[1].body).toStartWith("nothing, but ");
  expect(done.text).not.toContain(KEY);
  const { effect_evidence: effects } = (await agent.receipt(done.body.receipt_id)).body;
  expect(effects.map(({ secrets }: { secrets: string[] }) => secrets)).toEqual([
    ["API_KEY"],
    [],
    ["API_KEY"],
  ]);
  for (const { scrubbed } of effects) expect(scrubbed).toBeGreaterThan(0);
});

describe("a held one", () => {
  test("is shown in words, and sends once approved what it would have sent straight through", async () => {
    const requests = [{ url: items("/a?b=c") }, { method: "PUT", url: items("/d"), body: "e" }];
    const before = upstream.requests.length;
    await run(requests);
    const straight = upstream.requests.slice(before).map(({ raw }) => raw.toString("latin1"));
    const held = await run(requests, "compute_held");
    expect(held.status).toBe(202);
    expect(upstream.requests.length).toBe(before + 2);
    const id = held.body.approval_id;
    const shown = await gate.run("approvals", "show", id);
    expect(shown.stdout).toContain("envelope:");
    expect(shown.stdout).toContain(
      `  - GET, PUT to api.test on port ${upstream.port}, at or below /items, with any query`,
    );
    expect(shown.stdout).toContain("up to 3 of them");
    expect(shown.stdout).toContain(
      `with API_KEY (header authorization) in every request to ${upstream.origin}`,
    );
    expect(shown.stdout).toContain("/a?b=c");
    const detail = (await operator.call("GET", `/v1/approvals/${id}`)).body;
    expect(detail.plan_hash).toBe(held.body.plan_hash);
    expect(detail).toMatchObject({
      plan: { kind: "envelope", params: { requests } },
      approved_secrets: ["API_KEY"],
      approved_egress: { proxy_allowlist: { allowed_domains: ["api.test", "service.test"] } },
    });
    const done = await operator.decideSigned(id, "approve");
    expect(done.body).toMatchObject({ status: "executed", approval: { approval_id: id } });
    expect(upstream.requests.slice(before + 2).map(({ raw }) => raw.toString("latin1"))).toEqual(straight);
    expect((await operator.approve(id)).body).toMatchObject({ decision: "already_approved" });
    expect(upstream.requests.length).toBe(before + 4);
  });

  test("has another hash with other parameters", async () => {
    const [a, b] = [
      await run([{ url: items("/a") }], "compute_held"),
      await run([{ url: items("/b") }], "compute_held"),
    ];
    expect(a.body.plan_hash).not.toBe(b.body.plan_hash);
    for (const { body } of [a, b]) expect((await operator.deny(body.approval_id)).status).toBe(200);
  });

  test("cannot leave its envelope either", async () => {
    const before = upstream.requests.length;
    const held = await run([{ url: `${upstream.origin}/admin` }], "compute_held");
    const done = await operator.approve(held.body.approval_id);
    expect(done.body).toMatchObject({ status: "failed", failure: "path_not_allowed" });
    expect(upstream.requests.length).toBe(before);
  });

  test("one with a wildcard always is, whatever its risk", async () => {
    const held = await run([{ url: items() }], "compute_wild");
    expect(held.status).toBe(202);
    expect(held.body.reasons).toEqual([{ code: "unresolved_host", text: "unresolved hosts: *.api.test" }]);
    const done = await operator.approve(held.body.approval_id);
    expect(done.body).toMatchObject({ status: "failed", failure: "host_not_allowed" });
  });
});

describe("the evidence", () => {
  let scratch: string;
  let rows: ReturnType<typeof readRows>;
  beforeAll(async () => {
    await run([{ url: items() }, { url: other.url }]);
    await gate.stop();
    rows = readRows(gate.ledger);
    scratch = mkdtempSync(join(tmpdir(), "latchgate-envelope-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const verdicts = (path: string) => {
    const report = verifyLedgerFile(path, { trust: readTrust(gate.fingerprint), strict: false });
    const independent = verifyLedger(path, gate.fingerprint);
    return { report, independent };
  };

  test("of a log with envelopes is intact, for both verifiers", () => {
    const { report, independent } = verdicts(gate.ledger);
    expect([report.verdict, independent.verdict]).toEqual(["intact", "intact"]);
    const grants = rows
      .map(payloadOf)
      .filter(({ type, action_id: id }) => type === "call.granted" && id === "compute");
    expect(grants.at(-1)?.granted).toEqual({
      hosts: ["api.test", "service.test"],
      paths: [],
      connections: [],
      secrets: ["API_KEY"],
      envelope: {
        calls: 3,
        targets: [
          { hosts: ["api.test"], methods: ["GET", "PUT"], ports: [upstream.port] },
          { hosts: ["service.test"], methods: ["GET"], ports: [other.port] },
        ],
        plain: [],
        secrets: [{ secret: "API_KEY", origin: upstream.origin }],
      },
    });
  });

  type Effect = Record<string, unknown>;
  type Body = Record<string, unknown> & { readonly effects: Effect[] };
  const forgeries: readonly (readonly [string, (effects: Effect[]) => unknown])[] = [
    ["another host", ([one]) => Object.assign(one ?? {}, { origin: "https://evil.example" })],
    ["a credential at another host", ([, two]) => Object.assign(two ?? {}, { secrets: ["API_KEY"] })],
    ["more requests", (effects) => effects.push({ ...effects[0] }, { ...effects[0] })],
  ];

  test.each(forgeries)("of a receipt that tells %s is damaged, for both verifiers", (_what, change) => {
    const last = rows.map(payloadOf).findLast(({ type }) => type === "call.receipt");
    const dir = mkdtempSync(join(scratch, "forged-"));
    cpSync(gate.ledger, join(dir, "ledger.db"));
    const keys = join(gate.dir, "keys");
    rewrite(join(dir, "ledger.db"), {
      keys,
      edit: (text, seq) => {
        if (seq !== last?.seq) return text;
        const body = JSON.parse(text) as Body;
        change(body.effects);
        return canonicalJson(body as never); // parsed from json
      },
    });
    const { report, independent } = verdicts(join(dir, "ledger.db"));
    expect(report).toMatchObject({
      verdict: "damaged",
      exit_code: 10,
      first_damage: { kind: "rules" },
    });
    expect(independent).toMatchObject({ verdict: "damaged", exit_code: 10 });
  });
});
