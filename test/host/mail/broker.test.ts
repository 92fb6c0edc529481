import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { sha256Hex } from "../../../src/core/bytes.ts";
import type { MailEffect } from "../../../src/core/effect.ts";
import type { HostAnswer } from "../../../src/core/host-call.ts";
import { NO_CONNECTIONS } from "../../../src/core/plan/connections.ts";
import type { MailPlan } from "../../../src/core/plan.ts";
import { createHost, type DoorRequest, type Host, type HostOptions } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { type SmtpSink, type SmtpSinkSetup, startSmtpSink } from "../../smtp-sink.ts";
import { callFor, doorRequest, mailPlan } from "../plans.ts";

const HOST = "mail.example.com";
const PASSWORD = "correct horse battery";
const LOGIN = { user: "gate", password: PASSWORD };
const authority = makeAuthority("mail authority");
const identity = issue(authority, { names: [HOST] });

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Scene {
  readonly sink: SmtpSink;
  readonly plan: MailPlan;
  readonly host: Host;
}

const PLAN = mailPlan({ secret: "MAIL_PASSWORD" });

/** A gate's host whose one connection is the plan's. */
function hostFor(
  plan: MailPlan,
  options: Partial<HostOptions> = {},
  ca: string | null = authority.certificate,
): Host {
  const connection = { server: plan.server, from: plan.from, domains: null, secret: plan.secret, ca };
  const host = createHost({
    connections: { ...NO_CONNECTIONS, mail: new Map([[plan.connection, connection]]) },
    secrets: {
      open: async () => ({ bytes: () => Buffer.from(PASSWORD), release: () => undefined }),
    },
    testing: { resolve: async () => [{ address: "127.0.0.1", ttl: 60 }] },
    ...options,
  });
  closing.push(() => host.close());
  return host;
}

async function scene(
  setup: SmtpSinkSetup,
  changes: Partial<MailPlan> = {},
  ca?: string | null,
): Promise<Scene> {
  const sink = await startSmtpSink({ identity, login: LOGIN, ...setup });
  closing.push(() => sink.close());
  const start = setup.tls === "implicit" ? "implicit" : "starttls";
  const server = { ...PLAN.server, port: sink.port, start } as const;
  const plan = { ...PLAN, server, ...changes };
  return { sink, plan, host: hostFor(plan, {}, ca) };
}

async function send(
  host: Host,
  plan: MailPlan,
  request: Partial<DoorRequest> = {},
): Promise<{ answer: HostAnswer; effect: MailEffect }> {
  const door = host.door({ ...doorRequest(plan), ...request });
  const answer = await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "mail") throw new Error("no mail effect");
  return { answer, effect };
}

describe.each(["starttls", "implicit"] as const)("with %s", (tls) => {
  test("a message arrives as planned, once, and the record has its hash", async () => {
    const { sink, plan, host } = await scene({ tls });
    const { answer, effect } = await send(host, plan);
    const [mail] = sink.mails;
    if (mail === undefined) throw new Error("no mail");
    expect(sink.mails).toHaveLength(1);
    expect(mail).toMatchObject({ from: plan.from, user: "gate", secure: true });
    expect(mail.recipients).toEqual([...plan.to, ...plan.cc, ...plan.bcc]);
    const head = mail.raw.toString("latin1").split("\r\n\r\n")[0]?.split("\r\n") ?? [];
    expect(head).toContain("To: ann@example.com");
    expect(head).toContain("Cc: bob@example.com");
    expect(head).toContain("Subject: hello");
    expect(head.map((line) => line.toLowerCase())).toContain("x-a: 1");
    expect(head).toContain(`Message-ID: <${effect.messageId}>`);
    expect(mail.raw.includes("eve@example.com")).toBe(false);
    expect(answer).toEqual({ kind: "smtp.send", ok: { messageId: effect.messageId ?? "", accepted: 3 } });
    expect(effect).toMatchObject({
      server: `${HOST}:${sink.port}`,
      address: "127.0.0.1",
      messageHash: sha256Hex(mail.raw),
      bytes: mail.raw.length,
      recipients: 3,
      accepted: 3,
      refused: [],
      status: 250,
      reached: "confirmed",
      error: null,
    });
  });

  test.each([
    ["another name", () => issue(authority, { names: ["other.example.com"] })],
    ["an unknown authority", () => issue(makeAuthority("stranger"), { names: [HOST] })],
    [
      "a certificate that has expired",
      () => issue(authority, { names: [HOST], notBefore: new Date(0), notAfter: new Date(86_400_000) }),
    ],
  ])("a server with %s is told nothing, whatever the environment says", async (_, made) => {
    const { sink, plan, host } = await scene({ tls, identity: made() });
    for (const trusting of [false, true]) {
      if (trusting) process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
      const { answer, effect } = await send(host, plan).finally(() => {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      });
      expect(answer).toEqual({ kind: "smtp.send", err: "tls_failed" });
      expect(effect).toMatchObject({
        reached: "none",
        error: "tls_failed",
        messageHash: null,
        accepted: null,
      });
    }
    expect(sink.passwords).toEqual([]);
    expect(sink.mails).toEqual([]);
  });

  test.each(["p%40ss:w/rd?#[x]+&=", 'clérk "100%" \\ word', "%", " lead and trail "])(
    "the password %j arrives as it is",
    async (password) => {
      const { sink, plan } = await scene({ tls, login: { user: "gate", password } });
      const open = async () => ({ bytes: () => Buffer.from(password), release: () => undefined });
      const { effect } = await send(hostFor(plan, { secrets: { open } }), plan);
      expect(sink.passwords).toEqual([password]);
      expect(effect).toMatchObject({ reached: "confirmed", error: null });
    },
  );

  test("a wrong password ends before the message, and nothing of it comes back", async () => {
    const { sink, plan, host } = await scene({ tls, login: { user: "gate", password: "another one" } });
    const { answer, effect } = await send(host, plan);
    expect(sink.passwords).toEqual([PASSWORD]);
    expect(answer).toEqual({ kind: "smtp.send", err: "authentication_failed" });
    expect(effect).toMatchObject({ reached: "none", error: "authentication_failed", messageHash: null });
    expect(JSON.stringify([answer, effect])).not.toContain(PASSWORD);
    expect(sink.mails).toEqual([]);
  });
});

test("a server that does not speak of STARTTLS gets neither password nor message", async () => {
  const { sink, plan, host } = await scene({ tls: "starttls", stripped: true });
  const { answer, effect } = await send(host, plan);
  expect(answer).toEqual({ kind: "smtp.send", err: "tls_failed" });
  expect(effect).toMatchObject({ reached: "none", error: "tls_failed" });
  expect(sink.connections).toBe(1);
  expect(sink.passwords).toEqual([]);
  expect(sink.mails).toEqual([]);
});

test("the authorities of the runtime do not vouch for a server with its own", async () => {
  const { sink, plan, host } = await scene({ tls: "implicit" }, {}, null);
  expect((await send(host, plan)).effect).toMatchObject({ reached: "none", error: "tls_failed" });
  expect(sink.passwords).toEqual([]);
});

test("clear text to a literal loopback address works, without login", async () => {
  const sink = await startSmtpSink({ tls: "off" });
  closing.push(() => sink.close());
  const server = { host: "127.0.0.1", port: sink.port, user: null, tls: "off", start: "starttls" } as const;
  const plan = mailPlan({ server });
  expect((await send(hostFor(plan), plan)).effect).toMatchObject({ reached: "confirmed", error: null });
  expect(sink.mails).toMatchObject([{ secure: false, user: null }]);
});

test("some recipients refused: the others have it, and the record says which have not", async () => {
  const { sink, plan, host } = await scene({ tls: "starttls", refuses: ["bob@example.com"] });
  const { answer, effect } = await send(host, plan);
  expect(sink.mails[0]?.recipients).toEqual(["ann@example.com", "eve@example.com"]);
  expect(answer).toEqual({ kind: "smtp.send", err: "recipient_refused" });
  expect(effect).toMatchObject({
    reached: "confirmed",
    error: "recipient_refused",
    accepted: 2,
    refused: [1],
  });
});

test("all recipients refused: no byte of the message leaves", async () => {
  const { plan, host, sink } = await scene({
    tls: "starttls",
    refuses: ["ann@example.com", "bob@example.com", "eve@example.com"],
  });
  const { effect } = await send(host, plan);
  expect(effect).toMatchObject({
    reached: "none",
    error: "recipient_refused",
    accepted: 0,
    refused: [0, 1, 2],
    messageHash: null,
  });
  expect(sink.mails).toEqual([]);
});

test("a message that is refused at its end has been answered in full", async () => {
  const { plan, host } = await scene({ tls: "starttls", answer: new Error("looks like spam") });
  const { answer, effect } = await send(host, plan);
  expect(answer).toEqual({ kind: "smtp.send", err: "message_refused" });
  expect(effect).toMatchObject({ reached: "confirmed", error: "message_refused", accepted: 0, status: 450 });
  expect(effect.messageHash).not.toBeNull();
});

test("a connection that ends after the message leaves it unknown", async () => {
  const { plan, host, sink } = await scene({ tls: "starttls", cutsOff: true });
  const { effect } = await send(host, plan);
  expect(sink.mails).toHaveLength(1);
  expect(effect).toMatchObject({ reached: "maybe", accepted: null });
  expect(effect.error).not.toBeNull();
  expect(effect.messageHash).not.toBeNull();
});

/** A server that says what it is given and then nothing more. */
async function startMute(greeting: string) {
  const sockets: Socket[] = [];
  const arrived = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  let heard = "";
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => gone.resolve());
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      arrived.resolve();
    });
    if (greeting === "") arrived.resolve();
    else socket.write(greeting);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    arrived: arrived.promise,
    gone: gone.promise,
  };
}

test.each([
  ["before its greeting", ""],
  ["after its greeting", "220 mail.example.com\r\n"],
])("a call that is cancelled %s closes the connection", async (_, greeting) => {
  const mute = await startMute(greeting);
  const plan = { ...PLAN, server: { ...PLAN.server, port: mute.port } };
  const controller = new AbortController();
  const sending = send(hostFor(plan), plan, { signal: controller.signal });
  await mute.arrived;
  controller.abort();
  const { answer, effect } = await sending;
  expect(answer).toEqual({ kind: "smtp.send", err: "cancelled" });
  expect(effect).toMatchObject({ reached: "none", error: "cancelled" });
  await mute.gone;
});

test("a server that never greets is given up", async () => {
  const mute = await startMute("");
  const plan = { ...PLAN, server: { ...PLAN.server, port: mute.port } };
  const host = hostFor(plan, { mailTimeouts: { greetingMs: 50 } });
  expect((await send(host, plan)).effect).toMatchObject({ reached: "none" });
  await mute.gone;
});

test("what a server says is bounded", async () => {
  const mute = await startMute(`220 ${"x".repeat(100_000)}`);
  const plan = { ...PLAN, server: { ...PLAN.server, port: mute.port } };
  expect((await send(hostFor(plan), plan)).effect).toMatchObject({ reached: "none" });
  await mute.gone;
});

describe("the border of the message", () => {
  const lines = fc.array(
    fc.constantFrom(
      ".",
      "..",
      "\r",
      "\n",
      "\r\n",
      "\r\n.\r\n",
      "\n.\n",
      "\r.\r",
      "MAIL FROM:<a@b.example>",
      "a",
      "é",
      "=",
    ),
    { minLength: 1, maxLength: 12 },
  );
  test("no text ends a message or begins another", async () => {
    const { sink, plan, host } = await scene({ tls: "implicit" });
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(lines, async (parts) => {
        const { effect } = await send(host, { ...plan, text: parts.join("") });
        sent += 1;
        const raw = sink.mails.at(-1)?.raw ?? Buffer.alloc(0);
        expect(sink.mails).toHaveLength(sent);
        expect(effect).toMatchObject({ error: null, messageHash: sha256Hex(raw) });
        expect(/[^\r]\n|\r[^\n]/.test(raw.toString("latin1"))).toBe(false);
      }),
      { numRuns: 15, seed: 7 },
    );
  });

  test.each([
    "ann@example.com, mallory@evil.example",
    "ann@example.com\r\nRCPT TO:<mallory@evil.example>",
    "<ann@example.com>",
    "friends: ann@example.com, mallory@evil.example;",
    '"ann smith"@example.com',
    "ann@[127.0.0.1]",
    "ann@example.com ",
    "ann@exämple.com",
    "ann@example.com\0",
    "",
  ])("%j is no recipient", async (to) => {
    const { sink, plan, host } = await scene({ tls: "starttls" });
    const { effect } = await send(host, { ...plan, to: [to] });
    expect(effect).toMatchObject({ reached: "none", error: "recipient_refused", address: null });
    expect(sink.connections).toBe(0);
  });

  test("no more than 50 recipients, the three lists together", async () => {
    const { sink, plan, host } = await scene({ tls: "implicit" });
    const many = (count: number) => Array.from({ length: count }, (_, i) => `a${i}@example.com`);
    const over = { ...plan, to: many(20), cc: many(20), bcc: many(11) };
    expect((await send(host, over)).effect).toMatchObject({
      reached: "none",
      error: "recipient_refused",
      address: null,
    });
    expect((await send(host, { ...plan, to: [], cc: [], bcc: [] })).effect.error).toBe("recipient_refused");
    expect(sink.connections).toBe(0);
    const just = { ...plan, to: many(50), cc: [], bcc: [] };
    expect((await send(host, just)).effect).toMatchObject({ accepted: 50, error: null });
  });

  test("no more than 10 MiB as sent", async () => {
    const { sink, plan, host } = await scene({ tls: "implicit" });
    // In quoted-printable each of these takes three bytes.
    const { effect } = await send(host, { ...plan, text: "=".repeat(3_600_000) });
    expect(effect).toMatchObject({ reached: "none", error: "request_too_large", address: null });
    expect(sink.connections).toBe(0);
  });

  test("a subject in any script is one header", async () => {
    const { sink, plan, host } = await scene({ tls: "implicit" });
    await send(host, { ...plan, subject: "Grüße: 你好, \u{1f600}" });
    const head = sink.mails[0]?.raw.toString("latin1").split("\r\n\r\n")[0] ?? "";
    expect(head).toContain("Subject: =?UTF-8?");
  });
});

test("a connection that is not that of the plan any more is not used", async () => {
  const { sink, plan, host } = await scene({ tls: "starttls" });
  for (const changed of [
    { ...plan, from: "boss@example.com" },
    { ...plan, secret: "OTHER_PASSWORD" },
    { ...plan, connection: "elsewhere" },
    { ...plan, server: { ...plan.server, tls: "off" as const } },
    { ...plan, server: { ...plan.server, user: "root" } },
  ])
    expect((await send(host, changed)).effect).toMatchObject({
      reached: "none",
      error: "connection_missing",
    });
  expect(sink.connections).toBe(0);
});

test("the gate's own listener is no mail server", async () => {
  const { sink, plan } = await scene({ tls: "starttls" });
  const host = hostFor(plan, { listeners: () => [{ address: "127.0.0.1", port: sink.port }] });
  expect((await send(host, plan)).effect).toMatchObject({ reached: "none", error: "host_not_allowed" });
  expect(sink.connections).toBe(0);
});
