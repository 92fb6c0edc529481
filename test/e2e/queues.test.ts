/** A queue through the shipped binary, with the password from a real secrets file. */
import { afterAll, beforeAll, expect } from "bun:test";
import { connect } from "amqplib";
import { stringify } from "yaml";
import { issue, makeAuthority } from "../certificates.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";
import { RABBITMQ, type RabbitMq, startRabbitMq } from "../rabbitmq.ts";
import { requireTool } from "../require-tool.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const test = requireTool(RABBITMQ, "apt-get install rabbitmq-server");
const ME = `uid:${process.getuid?.()}`;
/** Publishes over a connection that trusts another authority than the broker's. */
const STRANGER = stringify({
  apiVersion: "latchgate/v1",
  id: "publish_stranger",
  version: "1.0.0",
  summary: "Publish one message.",
  risk: { level: "high" },
  effects: ["queue_publish"],
  provider: "builtin:queue",
  params: { type: "object", required: ["text"], properties: { text: { type: "string", maxLength: 100 } } },
  queue: {
    connection: "stranger",
    exchange: "",
    routing_key: "orders.new",
    payload: { json: { text: { $param: "text" } } },
  },
  verify: { kind: "queue" },
});

let broker: RabbitMq;
let gate: GateProcess;

beforeAll(async () => {
  if (Bun.which(RABBITMQ) === null) return;
  const authority = makeAuthority("queue authority");
  broker = await startRabbitMq(issue(authority, { addresses: ["127.0.0.1"] }));
  const acl = {
    "*": { allowed_actions: [], allowed_sinks: [] },
    [ME]: { allowed_actions: ["queue_publish", "publish_stranger"], allowed_sinks: ["queue_publish"] },
  };
  const amqp = (name: string, ca: string) => `
[[connections.amqp]]
name = "${name}"
host = "127.0.0.1"
port = ${broker.tlsPort}
user = "${broker.user}"
password_secret = "MQ_PASSWORD"
exchanges = [""]
routing_keys = ["orders.*"]
ca_file = "../${ca}.pem"
`;
  const config = amqp("main", "ca") + amqp("stranger", "stranger");
  const files = {
    "ca.pem": authority.certificate,
    "stranger.pem": makeAuthority("another authority").certificate,
  };
  const actions = { "stranger.yaml": STRANGER };
  gate = await startGate({ policy: { policy_version: "queues", acl }, config, files, actions });
  const { root: cwd, env } = gate;
  for (const [words, stdin] of [
    [["secrets", "init"], ""],
    [["secrets", "set", "MQ_PASSWORD"], broker.password],
  ] as const) {
    const { code, stderr } = await runBinary(words, { cwd, env, stdin });
    if (code !== 0) throw new Error(stderr);
  }
}, 90_000);

afterAll(async () => {
  if (Bun.which(RABBITMQ) === null) return;
  await gate[Symbol.asyncDispose]();
  await broker.stop();
}, 60_000);

test("queue_publish is held, approved and confirmed, and its receipt shows no payload", async () => {
  const { port, user: username, password } = broker;
  const model = await connect({ protocol: "amqp", hostname: "127.0.0.1", port, username, password });
  const channel = await model.createChannel();
  await channel.assertQueue("orders.new", { durable: true });
  const agent = await WireAgent.connect(gate.clientSocket);
  const operator = await WireOperator.of(gate);
  const held = await agent.execute("queue_publish", {
    routing_key: "orders.new",
    message: { order: "order-4711" },
  });
  expect(held.status).toBe(202);
  expect(await channel.get("orders.new", { noAck: true })).toBe(false);
  const done = await operator.approve(held.body.approval_id);
  expect(done.body).toMatchObject({ status: "executed", verification: { outcome: "verified" } });
  const got = await channel.get("orders.new", { noAck: true });
  expect(got === false ? null : got.content.toString()).toBe('{"order":"order-4711"}');
  const receipt = await agent.receipt(done.body.receipt_id);
  expect(receipt.text).toContain('"confirm":"ack"');
  for (const hidden of ["order-4711", password]) expect(receipt.text).not.toContain(hidden);
  const refused = await agent.execute("queue_publish", { routing_key: "payroll", message: 1 });
  expect(refused.body.deny_reason).toStartWith("destination_not_allowed");
  await model.close();
});

test("a wrong password, or an unknown authority, ends before the message with a code of its own", async () => {
  const { root: cwd, env } = gate;
  const agent = await WireAgent.connect(gate.clientSocket);
  const operator = await WireOperator.of(gate);
  const WRONG = "not the right credential 0123456789";
  const set = (stdin: string) => runBinary(["secrets", "set", "MQ_PASSWORD"], { cwd, env, stdin });
  const publish = async (action: string, params: unknown) => {
    const held = await agent.execute(action, params);
    expect(held.status).toBe(202);
    return operator.approve(held.body.approval_id);
  };
  const message = { routing_key: "orders.new", message: 1 };
  expect((await set(WRONG)).code).toBe(0);
  for (const [action, params, failure] of [
    ["queue_publish", message, "authentication_failed"],
    ["publish_stranger", { text: "x" }, "tls_failed"],
  ] as const) {
    const ended = await publish(action, params);
    expect(ended.body).toMatchObject({ status: "failed", dispatched: "no", failure });
    const receipt = await agent.receipt(ended.body.receipt_id);
    expect(receipt.body).toMatchObject({ signature_status: "valid", status: "failed" });
    expect(receipt.body.effect_evidence).toMatchObject([{ reached: "none", error: failure }]);
    expect(ended.text + receipt.text + gate.stderr()).not.toContain(WRONG);
  }
  expect((await set(broker.password)).code).toBe(0);
  expect((await publish("queue_publish", message)).body.status).toBe("executed");
});
