import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { httpText } from "../actions/manifests.ts";
import { startUpstream, type Upstream, withUpstream } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

/** Each body kind once straight through and once held, otherwise the same manifest to the letter. */
const BODIES: Readonly<Record<string, { readonly http: object; readonly params: object }>> = {
  json: {
    http: { body: { json: { title: { $param: "title" }, value: { $param: "value" }, fixed: [1, "two"] } } },
    params: { value: {} },
  },
  form: {
    http: { body: { form: { title: { $param: "title" }, value: { $param: "value" }, fixed: "a b&c" } } },
    params: { value: { type: "string", maxLength: 200 } },
  },
  text: {
    http: { body: { text: { $param: "value" } } },
    params: { value: { type: "string", maxLength: 200 } },
  },
  bytes: {
    http: { body: { bytes: { $param: "value" } } },
    params: { value: { type: "string", contentEncoding: "base64", maxLength: 400 } },
  },
  none: { http: { body: undefined }, params: { value: { type: "string", maxLength: 200 } } },
};
const KINDS = Object.keys(BODIES);
/** A request without a body must not become another one on its way through an approval either. */
const methodsOf = (kind: string) => (kind === "none" ? ["GET", "OPTIONS"] : ["POST", "PUT", "PATCH"]);
const ids = KINDS.flatMap((kind) =>
  methodsOf(kind).flatMap((method) => [`auto_${kind}_${method}`, `held_${kind}_${method}`]),
);

let upstream: Upstream;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  upstream = await startUpstream();
  const manifest = (kind: string, method: string, risk: string, id: string) =>
    httpText({
      id,
      risk: { level: risk },
      params: {
        type: "object",
        required: ["id", "value"],
        properties: {
          id: { type: "string", minLength: 1, maxLength: 60 },
          title: { type: "string", maxLength: 60 },
          label: { type: "string", maxLength: 60 },
          ...BODIES[kind]?.params,
        },
      },
      http: {
        method,
        url: `${upstream.origin}/items/{id}{?title${kind === "none" ? ",value" : ""}}`,
        headers: { "x-label": { $param: "label" }, "x-fixed": "always" },
        ...BODIES[kind]?.http,
      },
      egress: { hosts: [{ host: upstream.host, ports: [upstream.port] }] },
      verify: { kind: "http" },
    });
  const actions = Object.fromEntries(
    KINDS.flatMap((kind) =>
      methodsOf(kind).flatMap((method) => [
        [`auto_${kind}_${method}.yaml`, manifest(kind, method, "medium", `auto_${kind}_${method}`)],
        [`held_${kind}_${method}.yaml`, manifest(kind, method, "high", `held_${kind}_${method}`)],
      ]),
    ),
  );
  gate = await startGate(
    withUpstream(upstream, ids, {
      actions,
      policy: openPolicy(undefined, { actions: ids }),
      files: { "src/.env": "SECRET=1\n", "src/a.txt": "old" },
    }),
  );
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

const line = fc.string({ unit: "grapheme-ascii", maxLength: 40 });
const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
const VALUES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  json: fc
    .jsonValue({ maxDepth: 3, stringUnit: "grapheme" })
    .filter((value) => !/"__proto__"/.test(JSON.stringify(value))),
  form: anyText,
  text: anyText,
  bytes: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString("base64")),
  none: anyText,
};
const call = fc
  .constantFrom(...KINDS.flatMap((kind) => methodsOf(kind).map((method) => ({ kind, method }))))
  .chain(({ kind, method }) =>
    fc.record({
      kind: fc.constant(kind),
      method: fc.constant(method),
      params: fc.record(
        {
          id: fc
            .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
            .filter((id) => !/^\.{1,2}$/.test(id)),
          value: VALUES[kind] ?? fc.constant(null),
          title: anyText,
          label: line.map((text) => text.trim()),
        },
        { requiredKeys: ["id", "value"] },
      ),
    }),
  );

describe("N16: an approved call sends byte for byte what the approver saw", () => {
  test("the automatic and the approved path send the same bytes, and these are the plan's", async () => {
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(call, async ({ kind, method, params }) => {
        const before = upstream.requests.length;
        const direct = await agent.execute(`auto_${kind}_${method}`, params);
        const held = await agent.execute(`held_${kind}_${method}`, params);
        if (direct.status !== 200) {
          // What one path refuses the other refuses too, before anybody is asked.
          expect([held.status, held.body.error]).toEqual([direct.status, direct.body.error]);
          expect(upstream.requests.length).toBe(before);
          return;
        }
        expect(held.status).toBe(202);
        expect(upstream.requests.length).toBe(before + 1);
        const shown = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
        const approved = await operator.approve(held.body.approval_id);
        expect(approved.body).toMatchObject({ decision: "executed" });
        expect(upstream.requests.length).toBe(before + 2);
        const [first, second] = upstream.requests.slice(-2);
        if (first === undefined || second === undefined) throw new Error("a request is missing");
        expect(second.raw.equals(first.raw)).toBe(true);

        const { plan } = shown;
        expect([plan.method, plan.url]).toEqual([second.method, upstream.origin + second.target]);
        const planned = new Set(plan.headers.map(([name, value]: [string, string]) => `${name}: ${value}`));
        const added = second.headers
          .filter(([name, value]) => !planned.delete(`${name}: ${value}`))
          .map(([name]) => name.toLowerCase());
        expect([...planned]).toEqual([]);
        const length = kind === "none" ? [] : ["content-length"];
        expect(added).toEqual(["host", "accept-encoding", ...length, "connection"]);
        if (kind === "none") {
          expect([plan.body, second.body.length]).toEqual([null, 0]);
          sent++;
          return;
        }
        const body =
          plan.body.base64 === undefined
            ? Buffer.from(plan.body.text)
            : Buffer.from(plan.body.base64, "base64");
        expect(plan.body).toMatchObject({ bytes: second.body.length, truncated: false });
        expect(second.body.equals(body)).toBe(true);
        sent++;
      }),
      { seed: 1, numRuns: 60 },
    );
    expect(sent).toBeGreaterThan(30);
  }, 120_000);

  test("a written file is what the approver saw, deny-list included", async () => {
    const content = "line one\r\n\u20ac \u0000 end";
    const held = await agent.execute("fs_write", { path: "src/a.txt", content });
    const shown = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
    expect(shown.plan).toMatchObject({ kind: "fs", operation: "overwrite", path: "src/a.txt" });
    expect(shown.plan.deny).toContain("**/.env");
    expect(shown.plan.content.text).toBe(content);
    expect(shown.plan_hash).toBe(held.body.plan_hash);
    const approved = await operator.approve(held.body.approval_id);
    expect(approved.body.output.after_hash).toBe(
      `sha256:${createHash("sha256").update(content).digest("hex")}`,
    );
    expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe(content);
  });

  test.each([
    "src/.env",
    "src/.ENV",
    "src/deep/secrets/key.txt",
    "src/../.latchgate/latchgate.toml",
    "src/.git/config",
  ])("the deny-list is not for approvers to overrule: %s is refused before a hold", async (path) => {
    const refused = await agent.execute("fs_write", { path, content: "SECRET=2\n" });
    expect(refused.status).toBe(403);
    expect(refused.body).toMatchObject({ error: "policy_denied" });
    expect(readFileSync(join(gate.root, "src/.env"), "utf8")).toBe("SECRET=1\n");
  });
});
