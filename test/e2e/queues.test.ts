/** A queue through the shipped binary, with the password from a real secrets file. */
import { afterAll, beforeAll, expect } from "bun:test";
import { connect } from "amqplib";
import { issue, makeAuthority } from "../certificates.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";
import { RABBITMQ, type RabbitMq, startRabbitMq } from "../rabbitmq.ts";
import { requireTool } from "../require-tool.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const test = requireTool(RABBITMQ, "apt-get install rabbitmq-server");
const ME = `uid:${process.getuid?.()}`;
let broker: RabbitMq;
let gate: GateProcess;

beforeAll(async () => {
  if (Bun.which(RABBITMQ) === null) return;
  const authority = makeAuthority("queue authority");
  broker = await startRabbitMq(issue(authority, { addresses: ["127.0.0.1"] }));
  const acl = {
    "*": { allowed_actions: [], allowed_sinks: [] },
    [ME]: { allowed_actions: ["queue_publish"], allowed_sinks: ["queue_publish"] },
  };
  const config = `
[[connections.amqp]]
name = "main"
host = "127.0.0.1"
port = ${broker.tlsPort}
user = "${broker.user}"
password_secret = "MQ_PASSWORD"
exchanges = [""]
routing_keys = ["orders.*"]
ca_file = "../ca.pem"
`;
  const files = { "ca.pem": authority.certificate };
  gate = await startGate({ policy: { policy_version: "queues", acl }, config, files });
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
