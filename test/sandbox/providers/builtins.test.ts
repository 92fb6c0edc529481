import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { compileComponent } from "../../../scripts/assemblyscript.ts";
import type { HostAnswer, HostCall } from "../../../src/core/host-call.ts";
import type { Json } from "../../../src/core/json.ts";
import { PLAN_KINDS, type PlanKind } from "../../../src/core/plan.ts";
import {
  BUILTIN_NAMES,
  type BuiltinName,
  ingestComponent,
  interfacesFor,
  loadBuiltins,
  type Sandbox,
} from "../../../src/sandbox/index.ts";
import { validateComponent } from "../../../src/sandbox/validate.ts";
import { LIMITS, openSandbox, respond, run, ScriptedDoor } from "../laboratory.ts";

const PROVIDERS = join(import.meta.dir, "../../../providers");
let sandbox: Sandbox;
const digests = new Map<BuiltinName, string>();

beforeAll(async () => {
  sandbox = await openSandbox({ runners: 1 });
  for (const [name, component] of await loadBuiltins()) {
    sandbox.register(component);
    digests.set(name, component.digest);
  }
});

afterAll(async () => {
  await sandbox.close();
});

async function ask(
  name: BuiltinName,
  task: Json,
  script: (call: HostCall) => HostAnswer,
  limits = LIMITS,
): Promise<{ output: Json; asked: readonly HostCall[] }> {
  const door = new ScriptedDoor(script);
  const outcome = await run(sandbox, digests.get(name) ?? "", { task: JSON.stringify(task), door, limits });
  if (outcome.status !== "ok") throw new Error(JSON.stringify(outcome));
  return { output: outcome.output, asked: door.asked };
}

const GET = { method: "GET", url: "https://api.example.com/", headers: [], body_base64: null, timeout_ms: 0 };

const KINDS: readonly (readonly [BuiltinName, PlanKind])[] = [
  ["http_api", "http"],
  ["fs", "fs"],
  ["database", "database"],
  ["smtp", "mail"],
  ["queue", "queue"],
  ["storage", "storage"],
];

describe("the built-in components", () => {
  test.each([...BUILTIN_NAMES])("%s is what its sources build, and pinned", async (name) => {
    const committed = readFileSync(join(PROVIDERS, name, `${name}.wasm`));
    expect(Buffer.from(await compileComponent(`${name}/index.ts`)).equals(committed)).toBe(true);
    const pins: Record<string, string> = JSON.parse(readFileSync(join(PROVIDERS, "digests.json"), "utf8"));
    expect(pins[name]).toBe(`sha256:${createHash("sha256").update(committed).digest("hex")}`);
  });

  test.each([...BUILTIN_NAMES])("%s passes full validation", async (name) => {
    const bytes = readFileSync(join(PROVIDERS, name, `${name}.wasm`));
    const pin = digests.get(name) ?? "";
    const component = await ingestComponent({ bytes, pin, origin: "builtin", validate: validateComponent });
    expect((await loadBuiltins()).get(name)).toEqual(component);
  });

  test.each([...BUILTIN_NAMES])("%s under another digest is refused before it is looked at", async (name) => {
    const bytes = readFileSync(join(PROVIDERS, name, `${name}.wasm`));
    const pin = `sha256:${"0".repeat(64)}`;
    const validate = () => Promise.reject(new Error("must not be reached"));
    await expect(ingestComponent({ bytes, pin, origin: "builtin", validate })).rejects.toMatchObject({
      code: "component_digest_mismatch",
    });
  });

  test.each(KINDS)(
    "%s begins where an action of kind %s grants what it imports, and nowhere else",
    async (name, kind) => {
      const builtins = await loadBuiltins();
      expect([...(builtins.get(name)?.imports ?? [])].sort()).toEqual([...interfacesFor(kind)].sort());
      for (const other of PLAN_KINDS) {
        const door = new ScriptedDoor();
        const outcome = await run(sandbox, digests.get(name) ?? "", { door, granted: interfacesFor(other) });
        // An envelope grants what http does. With no task to speak of a component says that this is none.
        const grants = other === kind || (kind === "http" && other === "envelope");
        expect([other, outcome.status]).toEqual([other, grants ? "guest_error" : "import_not_granted"]);
        expect(door.asked).toEqual([]);
      }
    },
  );

  test("end with their fuel where they have hardly any, and have asked for nothing", async () => {
    const door = new ScriptedDoor();
    const request = { task: JSON.stringify(GET), door, limits: { ...LIMITS, fuel: 100 } };
    expect(await run(sandbox, digests.get("http_api") ?? "", request)).toMatchObject({
      status: "fuel_exhausted",
      fuel: 100,
      ioCalls: 0,
    });
    expect(door.asked).toEqual([]);
  });
});

describe("http_api", () => {
  test("makes exactly the request of its task", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        text,
        text,
        fc.array(fc.tuple(text, text), { maxLength: 40 }),
        fc.option(fc.uint8Array({ maxLength: 200 })),
        fc.nat(0xffff_ffff),
        async (method, url, headers, body, timeout) => {
          const task = {
            method,
            url,
            headers,
            body_base64: body === null ? null : Buffer.from(body).toString("base64"),
            timeout_ms: timeout,
          };
          const { asked } = await ask("http_api", task, respond(200));
          expect(asked).toEqual([
            {
              kind: "http.request",
              method,
              url,
              headers,
              body: body === null ? null : Uint8Array.from(body),
              timeoutMs: timeout,
            },
          ]);
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  test("tells the answer as it came", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 200, max: 299 }),
        fc.array(fc.tuple(text, text), { maxLength: 40 }),
        fc.uint8Array({ maxLength: 200 }),
        async (status, headers, body) => {
          const { output } = await ask("http_api", GET, respond(status, body, headers));
          expect(output).toEqual({
            ok: true,
            status,
            headers,
            body_base64: Buffer.from(body).toString("base64"),
          });
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  test.each([100, 199, 300, 301, 404, 500, 599])(
    "status %p is not ok, and all of the answer is there",
    async (status) => {
      const { output } = await ask("http_api", GET, respond(status, "why", [["x-a", "b"]]));
      expect(output).toEqual({
        ok: false,
        status,
        headers: [["x-a", "b"]],
        body_base64: Buffer.from("why").toString("base64"),
        error: { code: "http_status", message: `the server answered ${status}` },
      });
    },
  );

  test("tells a refusal of the host by its code", async () => {
    const { output } = await ask("http_api", GET, (call) => ({ kind: call.kind, err: "differs_from_plan" }));
    expect(output).toMatchObject({ ok: false, error: { code: "differs_from_plan" } });
  });

  test("escapes what JSON must escape", async () => {
    const value = '\u0000\u001f"\\\u007f\u2028é😀';
    const { output } = await ask("http_api", GET, respond(200, "", [[value, value]]));
    expect(output).toMatchObject({ headers: [[value, value]] });
  });

  test("carries 10 MiB each way within 64 MiB of memory", async () => {
    const body = Buffer.alloc(10 * 1_048_576, "0123456789abcdef");
    const limits = { ...LIMITS, requestBytes: body.length, responseBytes: body.length, memoryMb: 64 };
    const task = { ...GET, method: "POST", body_base64: body.toString("base64") };
    const { output, asked } = await ask("http_api", task, respond(200, body.toString()), limits);
    expect(asked[0]?.kind === "http.request" && asked[0].body !== null && body.equals(asked[0].body)).toBe(
      true,
    );
    const text = (output as { body_base64: string }).body_base64;
    expect(text === task.body_base64).toBe(true);
  }, 20_000);

  test.each([
    ["an unknown member", { ...GET, follow_redirects: true }],
    ["no url", { method: "GET" }],
    ["a body that is not base64", { ...GET, body_base64: "not base64" }],
    ["a body with a foreign character", { ...GET, body_base64: "AAA*" }],
  ])("asks for nothing when its task has %s", async (_, task) => {
    const door = new ScriptedDoor();
    const outcome = await run(sandbox, digests.get("http_api") ?? "", { task: JSON.stringify(task), door });
    expect(outcome).toMatchObject({ status: "guest_error" });
    expect(door.asked).toEqual([]);
  });

  test("keeps the url out of the log", async () => {
    const outcome = await run(sandbox, digests.get("http_api") ?? "", { task: JSON.stringify(GET) });
    expect(outcome).toMatchObject({ logs: [{ level: "debug", message: 'answered 200 to "GET"' }] });
  });
});

describe("fs", () => {
  const hash = createHash("sha256").update("content").digest();
  const READ = { operation: "read", path: "a/b.txt", content_base64: null, expected_before_hash: null };
  const content = Buffer.from("content");

  test("reads", async () => {
    const { output, asked } = await ask("fs", READ, () => ({
      kind: "fs.read",
      ok: { content, hash, sizeBytes: content.length },
    }));
    expect(asked).toEqual([{ kind: "fs.read", path: "a/b.txt" }]);
    expect(output).toEqual({
      ok: true,
      path: "a/b.txt",
      size_bytes: 7,
      hash: `sha256:${hash.toString("hex")}`,
      content_base64: content.toString("base64"),
    });
  });

  test("creates", async () => {
    const task = { ...READ, operation: "create", content_base64: content.toString("base64") };
    const { output, asked } = await ask("fs", task, () => ({
      kind: "fs.write",
      ok: { beforeHash: null, afterHash: hash, bytesBefore: 0, bytesWritten: 7 },
    }));
    expect(asked).toEqual([
      {
        kind: "fs.write",
        path: "a/b.txt",
        content: Uint8Array.from(content),
        mode: "create",
        expectedBeforeHash: null,
      },
    ]);
    expect(output).toEqual({
      ok: true,
      path: "a/b.txt",
      after_hash: `sha256:${hash.toString("hex")}`,
      bytes_written: 7,
    });
  });

  test("overwrites, against the hash that it expects", async () => {
    const before = createHash("sha256").update("before").digest();
    const task = {
      ...READ,
      operation: "overwrite",
      content_base64: content.toString("base64"),
      expected_before_hash: before.toString("hex"),
    };
    const { output, asked } = await ask("fs", task, () => ({
      kind: "fs.write",
      ok: { beforeHash: before, afterHash: hash, bytesBefore: Number.MAX_SAFE_INTEGER, bytesWritten: 7 },
    }));
    expect(asked).toMatchObject([{ mode: "overwrite", expectedBeforeHash: Uint8Array.from(before) }]);
    expect(output).toEqual({
      ok: true,
      path: "a/b.txt",
      after_hash: `sha256:${hash.toString("hex")}`,
      bytes_written: 7,
      before_hash: `sha256:${before.toString("hex")}`,
      bytes_before: Number.MAX_SAFE_INTEGER,
    });
  });

  test("deletes", async () => {
    const { output, asked } = await ask("fs", { ...READ, operation: "delete" }, () => ({
      kind: "fs.delete",
      ok: { ok: true },
    }));
    expect(asked).toEqual([{ kind: "fs.delete", path: "a/b.txt" }]);
    expect(output).toEqual({ ok: true, path: "a/b.txt", deleted: true });
  });

  test.each([
    ["path_denied", "path_denied"],
    ["already_exists", "already_exists"],
    ["symlink_escape", "symlink_escape"],
    ["io_error", "io_error"],
    ["operation_not_allowed", "operation_not_allowed"],
    ["differs_from_plan", "operation_not_allowed"],
    ["not_granted", "operation_not_allowed"],
    ["deadline", "io_error"],
  ])("tells %s as %s, for each operation", async (err, code) => {
    for (const operation of ["read", "create", "overwrite", "delete"]) {
      const task = { ...READ, operation, content_base64: "AAAA" };
      const { output } = await ask("fs", task, (call) => ({ kind: call.kind, err }));
      expect(output).toMatchObject({ ok: false, error: { code } });
    }
  });

  test("refuses content that is not base64 before it asks", async () => {
    for (const content_base64 of ["A", "AA=A", "====", "A===", "AB C", null]) {
      const { output, asked } = await ask("fs", { ...READ, operation: "create", content_base64 }, () => ({
        kind: "fs.write",
        err: "must not be asked",
      }));
      expect(output).toMatchObject({ ok: false, error: { code: "invalid_content" } });
      expect(asked).toEqual([]);
    }
  });

  test("refuses another operation and a malformed hash before it asks", async () => {
    for (const change of [{ operation: "chmod", content_base64: "" }, { expected_before_hash: "AB" }]) {
      const door = new ScriptedDoor();
      const task = JSON.stringify({ ...READ, ...change });
      expect(await run(sandbox, digests.get("fs") ?? "", { task, door })).toMatchObject({
        status: "guest_error",
      });
      expect(door.asked).toEqual([]);
    }
  });
});

describe("smtp", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 30 });
  const texts = fc.array(text, { maxLength: 20 });

  test("sends exactly the message of its task, and tells what the host said", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          to: texts,
          cc: texts,
          bcc: texts,
          subject: text,
          text: fc.option(text),
          html: fc.option(text),
          headers: fc.array(fc.tuple(text, text), { maxLength: 20 }),
        }),
        text,
        fc.nat(50),
        async (message, messageId, accepted) => {
          const said = { kind: "smtp.send", ok: { messageId, accepted } } as const;
          const { asked, output } = await ask("smtp", message, () => said);
          expect(asked).toEqual([{ kind: "smtp.send", ...message }]);
          expect(output).toEqual({ ok: true, message_id: messageId, accepted });
        },
      ),
      { numRuns: 50, seed: 11 },
    );
  });

  test("a refusal of the host is its answer", async () => {
    const message = {
      to: ["a@b.example"],
      cc: [],
      bcc: [],
      subject: "s",
      text: "t",
      html: null,
      headers: [],
    };
    const { output } = await ask("smtp", message, () => ({ kind: "smtp.send", err: "recipient_refused" }));
    expect(output).toMatchObject({ ok: false, error: { code: "recipient_refused" } });
  });
});

describe("storage", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 30 });
  const place = { connection: text, bucket: text, key: text };
  const hash = createHash("sha256").digest();
  const digest = `sha256:${hash.toString("hex")}`;

  test("puts exactly the object of its task", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          ...place,
          content_type: fc.option(text),
          if_none_match: fc.boolean(),
          if_match: fc.option(text),
        }),
        fc.uint8Array({ maxLength: 100 }),
        text,
        async (task, content, etag) => {
          const bytes = Buffer.from(content);
          const { asked, output } = await ask(
            "storage",
            { operation: "put", ...task, content_base64: bytes.toString("base64") },
            () => ({
              kind: "storage.put-object",
              ok: { etag, contentHash: hash, bytesWritten: content.length },
            }),
          );
          const { connection, bucket, key } = task;
          const conditions = { ifNoneMatch: task.if_none_match, ifMatch: task.if_match };
          const contentType = task.content_type;
          expect(asked).toMatchObject([
            { kind: "storage.put-object", connection, bucket, key, contentType, ...conditions },
          ]);
          const [call] = asked;
          expect(call?.kind === "storage.put-object" && Buffer.from(call.content).equals(bytes)).toBe(true);
          expect(output).toEqual({ ok: true, etag, hash: digest, bytes_written: content.length });
        },
      ),
      { numRuns: 40, seed: 12 },
    );
  });

  test("gets exactly the object of its task", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record(place),
        fc.uint8Array({ maxLength: 100 }),
        fc.option(text),
        text,
        async (task, content, contentType, etag) => {
          const nothing = { content_base64: null, content_type: null, if_none_match: false, if_match: null };
          const { asked, output } = await ask("storage", { operation: "get", ...task, ...nothing }, () => ({
            kind: "storage.get-object",
            ok: { content, contentType, etag, hash },
          }));
          expect(asked).toEqual([{ kind: "storage.get-object", ...task }]);
          const encoded = Buffer.from(content).toString("base64");
          expect(output).toEqual({
            ok: true,
            etag,
            content_type: contentType,
            hash: digest,
            content_base64: encoded,
          });
        },
      ),
      { numRuns: 40, seed: 13 },
    );
  });
});

describe("queue", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 30 });

  test("publishes exactly the message of its task", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ connection: text, exchange: text, routing_key: text, content_type: text }),
        fc.array(fc.tuple(text, text), { maxLength: 20 }),
        fc.uint8Array({ maxLength: 100 }),
        text,
        async (task, headers, payload, messageId) => {
          const encoded = Buffer.from(payload).toString("base64");
          const { asked, output } = await ask("queue", { ...task, headers, payload_base64: encoded }, () => ({
            kind: "queue.publish",
            ok: { messageId },
          }));
          const { connection, exchange, routing_key: routingKey, content_type: contentType } = task;
          expect(asked).toMatchObject([
            { kind: "queue.publish", connection, exchange, routingKey, contentType, headers },
          ]);
          const [call] = asked;
          expect(call?.kind === "queue.publish" && Buffer.from(call.payload).toString("base64")).toBe(
            encoded,
          );
          expect(output).toEqual({ ok: true, message_id: messageId });
        },
      ),
      { numRuns: 40, seed: 14 },
    );
  });
});

describe("database", () => {
  const TASK = {
    connection: "orders",
    statement: "select 'ü\\' as \"x\"",
    parameters: [
      ["null", ""],
      ["boolean", "true"],
      ["integer", "-1"],
      ["decimal", "1.10"],
      ["text", 'a \u{1f600} " b'],
      ["bytes", "AP8="],
      ["json", '{"a":1}'],
    ],
  };

  test("asks for exactly its task, and gives the rows as the host wrote them", async () => {
    const rows = [{ a: 1, b: "\u{1f600}" }, {}];
    const { output, asked } = await ask("database", TASK, () => ({
      kind: "database.execute-query",
      ok: { rows: 2, affected: 7, rowsJson: JSON.stringify(rows) },
    }));
    expect(asked).toEqual([
      {
        kind: "database.execute-query",
        connection: TASK.connection,
        statement: TASK.statement,
        parameters: TASK.parameters.map(([kind, value]) => ({ kind, value })),
      } as HostCall, // kinds as listed above
    ]);
    expect(output).toEqual({ ok: true, row_count: 2, affected: 7, rows });
  });

  test("tells of a refusal by the host's code", async () => {
    const refusal: HostAnswer = { kind: "database.execute-query", err: "permission_denied" };
    const { output } = await ask("database", { ...TASK, parameters: [] }, () => refusal);
    expect(output).toMatchObject({ ok: false, error: { code: "permission_denied" } });
  });
});
