import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";

// Each run of the command starts runners, and lets some of them try to get out.
setDefaultTimeout(120_000);

let gate: GateProcess;

beforeAll(async () => {
  gate = await startGate({
    config: `[actions]
only = []
[egress]
proxy = "http://127.0.0.1:3128"
proxy_secret = "PROXY_LOGIN"
`,
    actions: {
      "deploy.yaml": httpText({
        id: "deploy",
        auth: [
          { secret: "CI_TOKEN", in: "bearer", hosts: ["api.example.com"] },
          { secret: "TRACE_KEY", in: "query", name: "key", hosts: ["api.example.com"], required: false },
        ],
      }),
    },
  });
  expect((await gate.run("secrets", "init")).code).toBe(0);
  expect((await set("CI_TOKEN", "value_0123456789")).code).toBe(0);
  expect((await set("PROXY_LOGIN", "me:value_0123456789")).code).toBe(0);
});
afterAll(() => gate[Symbol.asyncDispose]());

type Found = { check: string; level: string; code: string; text: string };

async function doctor(
  about: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly found: readonly Found[] }> {
  const options = { cwd: gate.root, env: { ...gate.env, ...env } };
  const { code, stdout } = await runBinary(["doctor", "--json"], options);
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly Found[] };
  return { code, found: checks.filter(({ check }) => check === about) };
}

const set = (name: string, stdin: string) =>
  runBinary(["secrets", "set", name, "--shared"], { cwd: gate.root, env: gate.env, stdin });

test("without a secrets file it names what is needed, and not what is optional", async () => {
  const { code, found } = await doctor("secrets", { LATCHGATE_SECRETS_FILE: "nowhere.enc.yaml" });
  expect(code).toBe(0);
  expect(found).toMatchObject([
    { level: "ok" },
    { level: "warning", code: "secret_missing", text: "CI_TOKEN is not there; needed by deploy" },
    {
      level: "warning",
      code: "secret_missing",
      text: "PROXY_LOGIN is not there; needed by the egress proxy",
    },
  ]);
});

test("with them it is content, and tells no value", async () => {
  const { code, found } = await doctor("secrets");
  expect(code).toBe(0);
  expect(found.map(({ level }) => level)).toEqual(["ok"]);
  expect(JSON.stringify(found)).not.toContain("value_0123456789");
});

test("a file whose mac does not hold is an error", async () => {
  const path = join(gate.dir, "secrets.enc.yaml");
  const before = readFileSync(path, "utf8");
  const renamed = before.replace(/^CI_TOKEN:/m, "CI_TOKEM:");
  expect(renamed).not.toBe(before);
  writeFileSync(path, renamed);
  const { code, found } = await doctor("secrets");
  writeFileSync(path, before);
  expect(code).toBe(1);
  expect(found).toMatchObject([{ level: "error", code: "secrets_damaged" }]);
});

test("an identity that opens nothing is an error", async () => {
  const path = join(gate.dir, "secrets-identity.txt");
  const before = readFileSync(path, "utf8");
  writeFileSync(path, "");
  const { code, found } = await doctor("secrets");
  writeFileSync(path, before);
  expect(code).toBe(1);
  expect(found).toMatchObject([{ level: "error", code: "secrets_unavailable" }]);
});

test("a connection that an action names and nobody has configured is named", async () => {
  const path = join(gate.dir, "latchgate.toml");
  const before = readFileSync(path, "utf8");
  expect((await doctor("connections")).found).toMatchObject([{ level: "ok" }]);
  writeFileSync(path, before.replace("only = []", 'only = ["database_query"]'));
  const missing = await doctor("connections");
  const configured = `${before.replace("only = []", 'only = ["database_query"]')}
[[connections.database]]
name = "main"
host = "db.example.com"
database = "shop"
user = "gate"
password_secret = "SHOP_PASSWORD"
`;
  writeFileSync(path, configured);
  const there = await doctor("connections");
  const wanted = await doctor("secrets");
  writeFileSync(path, before);
  expect(missing.found).toMatchObject([
    {
      level: "warning",
      code: "connection_missing",
      text: "there is no database connection main; needed by database_query",
    },
  ]);
  expect(there.found).toMatchObject([{ level: "ok" }]);
  expect(wanted.found.at(-1)).toMatchObject({
    level: "warning",
    text: "SHOP_PASSWORD is not there; needed by database_query",
  });
});

test("grants of actions that are not there are told, by it and when the gate starts", async () => {
  const { code, found } = await doctor("policy data");
  expect(code).toBe(0);
  const text = `uid:${process.getuid?.()} is granted "http_fetch", which is not registered`;
  expect(found).toContainEqual({
    check: "policy data",
    level: "warning",
    code: "unknown_action",
    text,
    hint: null,
  } as Found);
  expect(gate.stderr()).toContain(`latchgate: policy data: ${text} (unknown_action)`);
});
