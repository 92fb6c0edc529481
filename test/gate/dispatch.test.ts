import { expect, test } from "bun:test";
import { systemClock } from "../../src/core/clock.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";
import type { Granted } from "../../src/gate/call.ts";
import { ComponentLog } from "../../src/gate/component-log.ts";
import { dispatch } from "../../src/gate/dispatch.ts";
import type { Gate } from "../../src/gate/gate.ts";
import { createHost } from "../../src/host/index.ts";
import type { RunRequest } from "../../src/sandbox/execution.ts";
import { Place } from "../../src/sandbox/place.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { startOrigin } from "../host/origin.ts";
import { callFor, httpPlan, LIMITS } from "../host/plans.ts";
import { TableSource } from "../host/secrets.ts";

const TOKEN = "tok_0123456789abcdef";

test("what a component says is searched for credentials, under the caller's own name, and the places are counted", async () => {
  const authority = makeAuthority("dispatch authority");
  const twice = btoa(btoa(`key=${TOKEN}`));
  const origin = await startOrigin(issue(authority, { names: ["api.example.com"] }), (_request, response) =>
    response.end(JSON.stringify({ plain: TOKEN, twice })),
  );
  const source = new TableSource({ "acme/TOKEN": TOKEN });
  const host = createHost({
    authorities: [authority.certificate],
    secrets: source,
    testing: {
      resolve: async () => [{ address: "93.184.215.14", ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
    },
  });
  const binding = {
    secret: "TOKEN",
    in: "header",
    name: "authorization",
    format: "Bearer {secret}",
  } as const;
  const plan = httpPlan({ secrets: [{ ...binding, origin: "https://api.example.com", required: true }] });
  const say = (message: string, cut = false) => ({ level: "info", message, cut }) as const;
  // Where the limit of a line would cut a credential, and where the pipe's limit has.
  const logs = [
    say(`found ${TOKEN}\u001b[2J in ${Buffer.from(TOKEN).toString("hex")}`),
    say(`${"x".repeat(995)}${TOKEN}`),
    say(`${"y".repeat(20)}${TOKEN.slice(0, -1)}`, true),
    say("a line that ends like any other: t"),
  ];
  /** Decodes what an answer holds in a coding within a coding, which no search of the answer can see. */
  const run = async ({ door, granted }: RunRequest) => {
    expect(granted).toEqual(["io-http", "io-log"]);
    const answer = await door.call(callFor(plan));
    if (!("ok" in answer) || answer.kind !== "http.request") throw new Error("no answer");
    const body = JSON.parse(Buffer.from(answer.ok.body).toString()) as { readonly twice: string };
    const output: Json = { body: Buffer.from(answer.ok.body).toString(), found: atob(atob(body.twice)) };
    return { status: "ok", output, ioCalls: 1, logs };
  };
  const logged: JsonObject[] = [];
  const write = async (entries: readonly JsonObject[]) => {
    logged.push(...entries);
  };
  const componentLog = new ComponentLog({ clock: systemClock, level: "info", write });
  const gate = { host, sandbox: { run }, componentLog } as unknown as Gate; // no more of it is looked at
  const granted = {
    call: {
      plan,
      limits: LIMITS,
      component: "sha256:",
      action: { id: "a", task: () => "{}" },
      caller: { tenant: "acme", principal: "uid:7" },
    },
    decision: { granted: { secrets: ["TOKEN"] } },
    deadline: performance.now() + 30_000,
    signal: new AbortController().signal,
  } as unknown as Granted; // as above
  const done = await dispatch(gate, granted, new Place(() => undefined));
  await host.close();
  await origin.close();
  expect(done.output).toEqual({
    body: JSON.stringify({ plain: "[redacted]", twice }),
    found: "key=[redacted]",
  });
  // One of the output, four of the log, and that of the answer itself.
  expect(done.redactions).toBe(6);
  await componentLog.flush(60_000);
  expect(logged.map(({ message }) => message)).toEqual([
    "found [redacted] [2J in [redacted]",
    `${"x".repeat(995)}[reda`,
    `${"y".repeat(20)}[redacted]`,
    "a line that ends like any other: t",
  ]);
  expect(done.effects).toMatchObject([{ secrets: ["TOKEN"], scrubbed: 1, reached: "confirmed" }]);
  expect(source.requests).toMatchObject([{ tenant: "acme", principal: "uid:7" }]);
});
