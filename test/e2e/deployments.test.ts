/** The example of docs/deployments.md, as it stands there, against a CI service with an authority of its own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { issue, makeAuthority } from "../certificates.ts";
import { type GateProcess, ROOT, runBinary, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const TOKEN = "ci-token-0f6f5c0e9b";
const ME = `uid:${process.getuid?.()}`;
const PAGE = readFileSync(join(ROOT, "docs/deployments.md"), "utf8");

function blocks(language: string): readonly string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, text]) => text ?? "",
  );
}

interface Asked {
  readonly line: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

const asked: Asked[] = [];
const releases = new Map<string, { version: string; state: string }>();
let service: Server;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  const authority = makeAuthority("company authority");
  service = createServer(issue(authority, { names: ["ci.example.internal"] }), async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { authorization } = request.headers;
    asked.push({ line: `${request.method} ${request.url}`, authorization, body });
    const answer = (status: number, value: unknown) => {
      const text = JSON.stringify(value);
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": String(text.length),
      });
      response.end(text);
    };
    if (authorization !== `Bearer ${TOKEN}`) return answer(401, { error: `no such token: ${authorization}` });
    const name = request.url?.split("/").at(-1) ?? "";
    if (request.method === "POST") {
      const { version } = JSON.parse(body) as { version: string };
      releases.set(name, { version, state: "started" });
      return answer(201, releases.get(name));
    }
    return answer(200, releases.get(name) ?? {});
  });
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const port = String((service.address() as AddressInfo).port);
  // The example as written, but for the place of the service.
  const here = (text: string) => text.replaceAll("8443", port).replaceAll("10.0.3.7", "127.0.0.1");
  const [config = ""] = blocks("toml").map(here);
  const [start = "", status = ""] = blocks("yaml").map(here);
  const policy = {
    policy_version: "deployments",
    acl: {
      "*": { allowed_actions: [], allowed_sinks: [] },
      [ME]: {
        allowed_actions: ["release_start", "release_status"],
        allowed_sinks: ["http_write", "http_read"],
      },
    },
  };
  gate = await startGate({
    policy,
    config,
    files: { "ca.pem": authority.certificate },
    actions: { "release_start.yaml": start, "release_status.yaml": status },
  });
  const { root: cwd, env } = gate;
  for (const [words, stdin] of [
    [["secrets", "init"], ""],
    [["secrets", "set", "CI_TOKEN"], TOKEN],
  ] as const) {
    const { code, stderr } = await runBinary(words, { cwd, env, stdin });
    if (code !== 0) throw new Error(stderr);
  }
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
}, 60_000);

afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
});

const RELEASE = { service: "shop", version: "2.4.1" };

test("a release is held, approved, started with the token, and read back once it is live", async () => {
  const held = await agent.execute("release_start", RELEASE);
  expect(held.status).toBe(202);
  expect(asked).toEqual([]);
  const started = await operator.approve(held.body.approval_id);
  expect(started.body).toMatchObject({
    status: "executed",
    verification: { outcome: "verified" },
    output: { json: { version: "2.4.1", state: "started" } },
  });
  expect(asked).toEqual([
    { line: "POST /api/releases/shop", authorization: `Bearer ${TOKEN}`, body: '{"version":"2.4.1"}' },
  ]);

  const early = await agent.execute("release_status", RELEASE);
  expect(early.body).toMatchObject({ status: "verification_failed" });
  releases.set("shop", { version: "2.4.1", state: "live" });
  const live = await agent.execute("release_status", RELEASE);
  expect(live.body).toMatchObject({ status: "executed", verification: { outcome: "verified" } });

  for (const id of [started.body.receipt_id, live.body.receipt_id]) {
    const receipt = await agent.receipt(id);
    expect(receipt.text).toContain("https://ci.example.internal");
    expect(receipt.text).not.toContain(TOKEN);
  }
  expect(held.text + started.text + live.text).not.toContain(TOKEN);
});

test.each([
  { service: "../admin", version: "2.4.1" },
  { service: "shop", version: "2.4.1; rm -rf /" },
  { service: "shop" },
])("%j asks the service for nothing", async (params) => {
  const before = asked.length;
  expect((await agent.execute("release_start", params)).status).toBeGreaterThanOrEqual(400);
  expect(asked.length).toBe(before);
});
