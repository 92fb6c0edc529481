import { afterAll, beforeAll, expect, test } from "bun:test";
import { httpText } from "../actions/manifests.ts";
import { digestOf, type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { buildComponent } from "../sandbox/build-component.ts";
import { LOGS_ITS_TASK, logs } from "../sandbox/guests.ts";
import { WireAgent } from "../wire-client.ts";
import { startUpstream, withUpstream } from "./upstream-server.ts";

let gate: GateProcess;
let agent: WireAgent;

beforeAll(async () => {
  const floods = await buildComponent(logs(300, 5000));
  gate = await startGate({
    components: [floods],
    policy: openPolicy(undefined, { actions: ["floods"] }),
    actions: {
      "floods.yaml": httpText({ id: "floods", provider: digestOf(floods), limits: { fuel: 100_000_000 } }),
    },
  });
  agent = await WireAgent.connect(gate.clientSocket);
});
afterAll(() => gate[Symbol.asyncDispose]());

test("what a component logs is on the gate's stderr, bounded and one line each, and in no answer", async () => {
  const done = await agent.execute("floods", { repo: "r", title: "t" });
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(await gate.stop()).toBe(0);
  const entries = gate
    .stderr()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  const lines = entries.filter(({ event }) => event === "component_log");
  expect(lines.length).toBe(64);
  expect(lines[0]).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    event: "component_log",
    level: "warn",
    trace_id: done.body.trace_id,
    tenant: "default",
    action_id: "floods",
    message: " ".repeat(1000),
  });
  // The runner passes on 256 of the 300.
  expect(entries).toContainEqual(expect.objectContaining({ event: "component_log_dropped", lines: 192 }));
  for (const { text } of [done, receipt]) expect(text).not.toContain(" ".repeat(100));
});

test("neither the built-in component nor one that logs its whole task writes more of a url than its host", async () => {
  const tells = await buildComponent(LOGS_ITS_TASK);
  const upstream = await startUpstream();
  try {
    await using signing = await startGate(
      withUpstream(upstream, ["http_fetch"], {
        components: [tells],
        policy: openPolicy(undefined, { actions: ["tells"] }),
        config: '[log]\ncomponents = "debug"',
        actions: {
          "tells.yaml": httpText({
            id: "tells",
            provider: digestOf(tells),
            http: { method: "POST", url: "https://api.example.com/{repo}{?title}", body: { text: "" } },
            params: {
              type: "object",
              required: ["repo", "title"],
              properties: { repo: { type: "string" }, title: { type: "string" } },
            },
          }),
        },
      }),
    );
    const caller = await WireAgent.connect(signing.clientSocket);
    const url = `${upstream.origin}/path-s3cr3t?sig=query-s3cr3t`;
    expect((await caller.execute("http_fetch", { url })).status).toBe(200);
    expect(upstream.requests.map(({ target }) => target)).toEqual(["/path-s3cr3t?sig=query-s3cr3t"]);
    await caller.execute("tells", { repo: "path-s3cr3t", title: "query-s3cr3t" });
    expect(await signing.stop()).toBe(0);
    const lines = signing
      .stderr()
      .split("\n")
      .filter((line) => line.includes('"component_log"'))
      .map((line) => JSON.parse(line));
    expect(lines.map(({ action_id, message }) => [action_id, message])).toEqual([
      ["http_fetch", 'answered 200 to "GET"'],
      ["tells", expect.stringContaining('"url":"https://api.example.com/…"')],
    ]);
    expect(signing.stderr()).not.toContain("s3cr3t");
  } finally {
    await upstream.close();
  }
});
