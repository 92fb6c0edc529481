/** Mail, queue and storage through the shipped binary, with credentials from a real secrets file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { issue, makeAuthority } from "../certificates.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";
import { type S3Store, startS3Store } from "../s3-store.ts";
import { type SmtpSink, startSmtpSink } from "../smtp-sink.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const MAIL_PASSWORD = "correct horse battery staple";
const S3_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const WRONG = "not the right credential 0123456789";
const KEY_ID = "AKIDEXAMPLE";
const ME = `uid:${process.getuid?.()}`;

/** Actions of connections whose authority is another one's, or which call the server by another name. */
const connected = (
  id: string,
  effect: string,
  provider: string,
  params: readonly string[],
  section: object,
) =>
  stringify({
    apiVersion: "latchgate/v1",
    id,
    version: "1.0.0",
    summary: "One call.",
    risk: { level: "high" },
    effects: [effect],
    provider: `builtin:${provider}`,
    params: {
      type: "object",
      required: params,
      properties: Object.fromEntries(params.map((name) => [name, { type: "string", maxLength: 100 }])),
    },
    ...section,
  });
const mailOver = (connection: string) =>
  connected(`mail_${connection}`, "mail_send", "smtp", ["text"], {
    smtp: { connection, to: ["ann@example.com"], subject: "report", text: { $param: "text" } },
    verify: { kind: "smtp" },
  });
const putOver = (connection: string) =>
  connected(`put_${connection}`, "storage_write", "storage", ["text"], {
    storage: {
      connection,
      operation: "put",
      bucket: "reports",
      key: "agents/untold",
      content: { text: { $param: "text" } },
      max_object_kb: 1,
    },
    verify: { kind: "storage" },
  });

let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;
let sink: SmtpSink;
let store: S3Store;
let misnamedSink: SmtpSink;
let misnamedStore: S3Store;

beforeAll(async () => {
  const authority = makeAuthority("local authority");
  const identity = issue(authority, { addresses: ["127.0.0.1"] });
  sink = await startSmtpSink({ tls: "starttls", identity, login: { user: "gate", password: MAIL_PASSWORD } });
  const s3Setup = { keyId: KEY_ID, secret: S3_SECRET, region: "us-east-1", host: "127.0.0.1" };
  store = await startS3Store({ ...s3Setup, identity });
  const misnamed = issue(authority, { addresses: ["127.0.0.2"], names: ["localhost"] });
  misnamedSink = await startSmtpSink({
    tls: "starttls",
    identity: misnamed,
    login: { user: "gate", password: MAIL_PASSWORD },
  });
  misnamedStore = await startS3Store({ ...s3Setup, identity: misnamed });
  const policy = {
    policy_version: "brokers",
    acl: {
      "*": { allowed_actions: [], allowed_sinks: [] },
      [ME]: {
        allowed_actions: [
          ...["email_send", "s3_put", "s3_get", "queue_publish"],
          ...["mail_stranger", "mail_misnamed", "put_stranger", "put_misnamed"],
        ],
        allowed_sinks: ["mail_send", "storage_write", "storage_read", "queue_publish"],
      },
    },
  };
  const smtp = (name: string, host: string, port: number, ca: string) => `
[[connections.smtp]]
name = "${name}"
host = "${host}"
port = ${port}
user = "gate"
password_secret = "MAIL_PASSWORD"
from = "gate@example.com"
domains = ["example.com"]
ca_file = "../${ca}.pem"
`;
  const s3 = (name: string, host: string, port: number, ca: string) => `
[[connections.s3]]
name = "${name}"
host = "${host}"
port = ${port}
access_key_id = "${KEY_ID}"
secret_key_secret = "S3_SECRET"
buckets = ["reports"]
keys = ["agents/**"]
ca_file = "../${ca}.pem"
`;
  const config = [
    smtp("main", "127.0.0.1", sink.port, "ca"),
    smtp("stranger", "127.0.0.1", sink.port, "stranger"),
    smtp("misnamed", "127.0.0.1", misnamedSink.port, "ca"),
    s3("main", "127.0.0.1", store.port, "ca"),
    s3("stranger", "127.0.0.1", store.port, "stranger"),
    s3("misnamed", "127.0.0.1", misnamedStore.port, "ca"),
  ].join("");
  const files = {
    "ca.pem": authority.certificate,
    "stranger.pem": makeAuthority("another authority").certificate,
  };
  const actions = Object.fromEntries(
    ["stranger", "misnamed"].flatMap((name) => [
      [`mail-${name}.yaml`, mailOver(name)],
      [`put-${name}.yaml`, putOver(name)],
    ]),
  );
  gate = await startGate({ policy, config, files, actions });
  await command(["secrets", "init"]);
  await command(["secrets", "set", "MAIL_PASSWORD"], MAIL_PASSWORD);
  await command(["secrets", "set", "S3_SECRET"], S3_SECRET);
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
}, 60_000);

afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  for (const server of [sink, store, misnamedSink, misnamedStore]) await server.close();
});

async function command(words: readonly string[], stdin?: string): Promise<void> {
  const { code, stderr } = await runBinary(words, {
    cwd: gate.root,
    env: gate.env,
    ...(stdin === undefined ? {} : { stdin }),
  });
  if (code !== 0) throw new Error(stderr);
}

const MESSAGE = { to: ["ann@example.com"], subject: "report", text: "all is well" };

describe("email_send", () => {
  test("is held with its recipients, approved, sent with the gate's login, and recorded without either", async () => {
    const held = await agent.execute("email_send", { ...MESSAGE, bcc: ["bob@example.com"] });
    expect(held.status).toBe(202);
    expect(sink.mails).toEqual([]);
    const shown = await operator.call("GET", `/v1/approvals/${held.body.approval_id}`);
    expect(shown.body.plan).toMatchObject({ kind: "mail", to: MESSAGE.to, bcc: ["bob@example.com"] });
    const done = await operator.approve(held.body.approval_id);
    expect(done.body).toMatchObject({
      status: "executed",
      confirmed: true,
      verification: { outcome: "verified" },
      output: { ok: true, accepted: 2 },
    });
    expect(sink.mails).toMatchObject([{ user: "gate", secure: true }]);
    expect(sink.mails[0]?.recipients).toEqual(["ann@example.com", "bob@example.com"]);
    const receipt = (await agent.receipt(done.body.receipt_id)).text;
    expect(receipt).toContain(done.body.output.message_id);
    for (const hidden of [MAIL_PASSWORD, "ann@example.com", "bob@example.com"])
      expect(receipt).not.toContain(hidden);
  });

  test.each([
    [{ to: ["eve@evil.example"] }, "recipient_not_allowed"],
    [{ bcc: ["eve@evil.example"] }, "recipient_not_allowed"],
    [{ subject: "a\r\nbcc: eve@evil.example" }, "invalid_content"],
  ])("%j is refused and leaves no trace at the server", async (change, code) => {
    const before = sink.connections;
    const refused = await agent.execute("email_send", { ...MESSAGE, ...change });
    expect(refused.status).toBe(403);
    expect(refused.body.deny_reason).toStartWith(code);
    expect(sink.connections).toBe(before);
  });
});

describe("objects", () => {
  test("are put after an approval, and got", async () => {
    const object = { bucket: "reports", key: "agents/may.csv" };
    const held = await agent.execute("s3_put", { ...object, content: "a,b\n", content_type: "text/csv" });
    expect(held.status).toBe(202);
    expect(store.seen).toEqual([]);
    const put = await operator.approve(held.body.approval_id);
    expect(put.body).toMatchObject({ status: "executed", verification: { outcome: "verified" } });
    const got = await agent.execute("s3_get", object);
    expect(got.body).toMatchObject({
      status: "executed",
      verification: { outcome: "verified" },
      output: { ok: true, text: "a,b\n", content_type: "text/csv", etag: put.body.output.etag },
    });
    const again = await agent.execute("s3_put", { ...object, content: "other" });
    const refused = await operator.approve(again.body.approval_id);
    expect(refused.body).toMatchObject({ status: "verification_failed" });
    expect(refused.text).toContain("object_exists");
    expect(store.objects.get("reports/agents/may.csv")?.content.toString()).toBe("a,b\n");
  });

  test.each([
    [{ bucket: "payroll", key: "agents/a" }, "path_denied"],
    [{ bucket: "reports", key: "other/a" }, "path_denied"],
    [{ bucket: "reports", key: "agents/../other/a" }, "path_invalid"],
  ])("%j is out of reach", async (object, code) => {
    const before = store.seen.length;
    const refused = await agent.execute("s3_get", object);
    expect(refused.status).toBe(403);
    expect(refused.body.deny_reason).toStartWith(code);
    expect(store.seen.length).toBe(before);
  });
});

/** What an approved call comes to, and its receipt. */
async function approved(action: string, params: unknown) {
  const held = await agent.execute(action, params);
  expect(held.status).toBe(202);
  const ended = await operator.approve(held.body.approval_id);
  const receipt = await agent.receipt(ended.body.receipt_id);
  expect(receipt.body).toMatchObject({ signature_status: "valid", status: ended.body.status });
  return { ended, receipt };
}

test.each(["mail_stranger", "mail_misnamed", "put_stranger", "put_misnamed"])(
  "%s: a server that is not the one of the connection is told nothing",
  async (action) => {
    const before = [sink.passwords.length, sink.mails.length, store.seen.length];
    const { ended, receipt } = await approved(action, { text: "a secret report" });
    expect(ended.body).toMatchObject({ status: "failed", dispatched: "no", failure: "tls_failed" });
    expect(receipt.body.effect_evidence).toMatchObject([{ reached: "none", error: "tls_failed" }]);
    expect([sink.passwords.length, sink.mails.length, store.seen.length]).toEqual(before);
    expect([misnamedSink.passwords, misnamedSink.mails, misnamedStore.seen]).toEqual([[], [], []]);
  },
);

test("a wrong password, or a wrong key, ends with a code of its own and stands nowhere", async () => {
  await command(["secrets", "set", "MAIL_PASSWORD"], WRONG);
  await command(["secrets", "set", "S3_SECRET"], WRONG);
  const mails = sink.mails.length;
  const objects = store.objects.size;
  const mail = await approved("email_send", MESSAGE);
  expect(mail.ended.body).toMatchObject({
    status: "failed",
    dispatched: "no",
    failure: "authentication_failed",
  });
  expect(sink.passwords.at(-1)).toBe(WRONG);
  const put = await approved("s3_put", { bucket: "reports", key: "agents/wrong", content: "x" });
  expect(put.ended.body).toMatchObject({ status: "verification_failed", failure: "authentication_failed" });
  expect([sink.mails.length, store.objects.size]).toEqual([mails, objects]);
  // The mail server has repeated the password, and the store the signature.
  for (const { ended, receipt } of [mail, put])
    for (const hidden of [WRONG, "Signature="]) expect(ended.text + receipt.text).not.toContain(hidden);
  expect(gate.stderr()).not.toContain(WRONG);
  await command(["secrets", "set", "MAIL_PASSWORD"], MAIL_PASSWORD);
  await command(["secrets", "set", "S3_SECRET"], S3_SECRET);
  expect((await approved("email_send", MESSAGE)).ended.body.status).toBe("executed");
});

test("an action without its connection is refused", async () => {
  const refused = await agent.execute("queue_publish", { routing_key: "orders", message: 1 });
  expect(refused.status).toBe(403);
  expect(refused.body.deny_reason).toStartWith("connection_missing");
});

test("no credential is in any file or line of the gate but the encrypted one", async () => {
  expect(await gate.stop()).toBe(0);
  const texts = [gate.stderr()];
  for (const name of readdirSync(gate.dir, { recursive: true, withFileTypes: true }))
    if (name.isFile()) texts.push(readFileSync(join(name.parentPath, name.name)).toString("latin1"));
  expect(texts.length).toBeGreaterThan(4);
  for (const value of [MAIL_PASSWORD, S3_SECRET, WRONG])
    for (const form of [value, Buffer.from(value).toString("base64").replace(/=+$/, "")])
      expect(texts.filter((text) => text.includes(form))).toEqual([]);
  expect(JSON.stringify(store.seen)).not.toContain(S3_SECRET);
});
