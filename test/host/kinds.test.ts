import { afterAll, describe, expect, test } from "bun:test";
import { LatchGateError } from "../../src/core/errors.ts";
import type { HostCall } from "../../src/core/host-call.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { OpenSecrets, SecretRequest } from "../../src/core/secrets.ts";
import type { Broker } from "../../src/host/broker.ts";
import { createDoor, type HostDeps } from "../../src/host/door.ts";
import { createHost } from "../../src/host/index.ts";
import { Automata } from "../../src/host/scrub/automata.ts";
import { callFor, databasePlan, doorRequest, httpPlan, mailPlan, queuePlan, storagePlan } from "./plans.ts";

const host = createHost({ testing: { resolve: async () => [] } });
afterAll(() => host.close());

/** The faithful call with one member changed. */
function changed(plan: Plan, changes: Readonly<Record<string, unknown>>): HostCall {
  // The changes keep the kind of call; ill-typed members are what a broken runner could send.
  return { ...callFor(plan), ...changes } as HostCall;
}

const GET = storagePlan({ operation: "get", content: null, contentType: null, ifNoneMatch: false });

describe("a call that differs from its plan is refused, whatever its kind", () => {
  const query = databasePlan();
  const cases: readonly (readonly [plan: Plan, changes: Readonly<Record<string, unknown>>])[] = [
    [query, { connection: "payroll" }],
    [query, { statement: `${query.statement} ` }],
    [query, { parameters: [] }],
    [query, { parameters: [{ kind: "text", value: "bob" }] }],
    [query, { parameters: [{ kind: "integer", value: "ann" }] }],
    [query, { parameters: [...query.parameters, { kind: "null", value: "" }] }],
    [mailPlan(), { to: [] }],
    [mailPlan(), { to: ["ann@example.com", "mallory@example.com"] }],
    [mailPlan(), { cc: ["mallory@example.com"] }],
    [mailPlan(), { bcc: ["mallory@example.com"] }],
    [mailPlan(), { subject: "hello\r\nbcc: mallory@example.com" }],
    [mailPlan(), { text: "another line" }],
    [mailPlan(), { html: "a line" }],
    [mailPlan(), { headers: [] }],
    [queuePlan(), { connection: "payroll" }],
    [queuePlan(), { exchange: "amq.direct" }],
    [queuePlan(), { routingKey: "orders" }],
    [queuePlan(), { payload: Buffer.from("[]") }],
    [queuePlan(), { contentType: "text/plain" }],
    [queuePlan(), { headers: [["x-a", "2"]] }],
    [storagePlan(), { connection: "payroll" }],
    [storagePlan(), { bucket: "other" }],
    [storagePlan(), { key: "2026/b.pdf" }],
    [storagePlan(), { content: Buffer.from("contenT") }],
    [storagePlan(), { contentType: null }],
    [storagePlan(), { ifNoneMatch: false }],
    [storagePlan(), { ifMatch: '"other"' }],
    [GET, { key: "2026/b.pdf" }],
  ];
  test.each(cases.map(([plan, changes]) => [plan.kind, Object.keys(changes)[0], plan, changes] as const))(
    "%s: %s",
    async (_kind, _member, plan, changes) => {
      const door = host.door(doorRequest(plan));
      const call = changed(plan, changes);
      expect(await door.call(call)).toEqual({ kind: call.kind, err: "differs_from_plan" });
      const [effect] = door.effects();
      expect(effect).toMatchObject({ kind: plan.kind, reached: "none", error: "differs_from_plan" });
      await door.close();
    },
  );

  const plans = [httpPlan(), databasePlan(), mailPlan(), queuePlan(), storagePlan(), GET];
  test("nor does a plan of one kind take the call of another", async () => {
    for (const plan of plans)
      for (const other of plans.filter((one) => one !== plan)) {
        const door = host.door(doorRequest(plan));
        expect(await door.call(callFor(other))).toMatchObject({ err: "differs_from_plan" });
        await door.close();
      }
  });

  test("and without its connection nothing happens", async () => {
    for (const plan of [databasePlan(), mailPlan(), queuePlan(), GET]) {
      const secrets = { open: async () => ({ bytes: () => Buffer.from("hunter2!"), release: () => {} }) };
      const gate = createHost({ testing: { resolve: async () => [] }, secrets });
      const door = gate.door(doorRequest(plan));
      const call = callFor(plan);
      const code = "connection_missing";
      expect(await door.call(call)).toEqual({ kind: call.kind, err: code });
      expect(door.effects()).toMatchObject([{ kind: plan.kind, reached: "none", error: code }]);
      await door.close();
      await gate.close();
    }
  });
});

describe("the secrets of a plan", () => {
  /** A queue broker that notes what it was given, and the source that gave it. */
  function scene(open: (request: SecretRequest) => Promise<OpenSecrets>) {
    const seen: string[] = [];
    const broker: Broker<"queue"> = {
      perform: async ({ plan, secrets, record }) => {
        seen.push(Buffer.from(secrets.bytes(plan.secret ?? "none")).toString());
        record.reached = "confirmed";
        return { kind: "queue.publish", ok: { messageId: "m" } };
      },
      close: async () => {},
    };
    const clock = { now: Date.now, monotonic: () => performance.now() };
    const deps: HostDeps = {
      clock,
      // No other broker is reached.
      brokers: { queue: broker } as HostDeps["brokers"],
      secrets: { open },
      automata: new Automata({ clock }),
      proxySecret: null,
    };
    return { seen, deps };
  }
  const plan = queuePlan({ secret: "MQ_PASSWORD" });

  test("are opened for its caller, handed to its broker, and released", async () => {
    const asked: unknown[] = [];
    let released = 0;
    const { seen, deps } = scene(async ({ signal, ...request }) => {
      asked.push(request);
      return { bytes: () => Buffer.from("hunter2!"), release: () => void released++ };
    });
    const door = createDoor({ ...doorRequest(plan), deps });
    expect(await door.call(callFor(plan))).toEqual({ kind: "queue.publish", ok: { messageId: "m" } });
    expect(asked).toEqual([{ names: ["MQ_PASSWORD"], tenant: "default", principal: "agent:test" }]);
    expect(seen).toEqual(["hunter2!"]);
    expect(released).toBe(1);
    await door.close();
  });

  test("that cannot be opened keep the broker from being asked, and the record says why", async () => {
    for (const code of ["secret_missing", "secrets_damaged", "secrets_unavailable"] as const) {
      const { seen, deps } = scene(async () => {
        throw new LatchGateError(code, "hunter2!");
      });
      const door = createDoor({ ...doorRequest(plan), deps });
      expect(await door.call(callFor(plan))).toEqual({ kind: "queue.publish", err: code });
      expect(door.effects()).toMatchObject([{ reached: "none", error: code }]);
      expect(seen).toEqual([]);
      await door.close();
    }
  });

  test("are not there without a source", async () => {
    const { deps } = scene(async () => ({ bytes: () => new Uint8Array(), release: () => {} }));
    const door = createDoor({ ...doorRequest(plan), deps: { ...deps, secrets: null } });
    expect(await door.call(callFor(plan))).toEqual({ kind: "queue.publish", err: "secrets_unavailable" });
    await door.close();
  });

  test("are released when the broker fails, whose words go no further", async () => {
    let released = 0;
    const { deps } = scene(async () => ({
      bytes: () => {
        throw new Error("hunter2!");
      },
      release: () => void released++,
    }));
    const door = createDoor({ ...doorRequest(plan), deps });
    expect(await door.call(callFor(plan))).toEqual({ kind: "queue.publish", err: "connect_failed" });
    expect(released).toBe(1);
    await door.close();
  });
});
