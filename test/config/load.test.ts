import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { currentPage } from "../../scripts/config-reference.ts";
import { ConfigError, loadConfig } from "../../src/config/load.ts";
import { type Config, configSchema } from "../../src/config/schema.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "config-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function load(text: string, env: Readonly<Record<string, string>> = {}): Config {
  const path = join(dir, "latchgate.toml");
  writeFileSync(path, text);
  return loadConfig(path, env);
}

function refusal(text: string, env: Readonly<Record<string, string>> = {}): ConfigError {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("it was loaded");
}

describe("environment over file over defaults", () => {
  test("an empty file is every default", () => {
    expect(load("")).toEqual(configSchema.parse({}));
    expect(load("").lease.ttl_s).toBe(300);
  });

  test("the file beats the default, the environment beats the file", () => {
    expect(load("[lease]\nttl_s = 60\n").lease.ttl_s).toBe(60);
    expect(load("[lease]\nttl_s = 60\n", { LATCHGATE_LEASE_TTL_S: "90" }).lease.ttl_s).toBe(90);
    expect(load("", { LATCHGATE_LEASE_TTL_S: "90" }).lease.ttl_s).toBe(90);
  });

  test("a variable sets its key and leaves the others of its table", () => {
    const { limits } = load("[limits]\nconnections = 7\n", { LATCHGATE_LIMITS_BODY_BYTES: "1000" });
    expect([limits.connections, limits.body_bytes, limits.headers]).toEqual([7, 1000, 100]);
  });

  test("texts, numbers, truth values and keys that are optional have variables", () => {
    const config = load("", {
      LATCHGATE_PUBLIC_BASE_URL: "https://gate.example",
      LATCHGATE_LISTEN_CLIENT_GROUP: "agents",
      LATCHGATE_IDENTITY_ALLOW_UNMAPPED: "true",
      LATCHGATE_APPROVALS_TTL_S: "0.5",
    });
    expect(config).toMatchObject({
      public_base_url: "https://gate.example",
      listen: { client_group: "agents" },
      identity: { allow_unmapped: true },
      approvals: { ttl_s: 0.5 },
    });
  });

  test("an empty variable counts as unset", () => {
    expect(load("[lease]\nttl_s = 60\n", { LATCHGATE_LEASE_TTL_S: "" }).lease.ttl_s).toBe(60);
  });

  test("every scalar key of a table has its variable, and the page names it", () => {
    const page = readFileSync(join(import.meta.dir, "../../docs/configuration.md"), "utf8");
    const variables = [...page.matchAll(/`(LATCHGATE_[A-Z_]+)` \|/g)].map((match) => match[1] ?? "");
    expect(variables.length).toBeGreaterThan(30);
    // A value that fits nothing: refused by name wherever the variable is read at all.
    const numbers = variables.filter((variable) => /_(S|RPS|BYTES|LIMIT|RUNNERS|QUEUE)$/.test(variable));
    expect(numbers.length).toBeGreaterThan(10);
    for (const variable of numbers) expect(refusal("", { [variable]: "many" }).code).toBe("config_invalid");
  });
});

describe("what the environment can't do", () => {
  test.each([
    ["LATCHGATE_OPERATORS", '{"mallory":{}}'],
    ["LATCHGATE_OPERATORS_MALLORY_THUMBPRINT", "x".repeat(43)],
    ["LATCHGATE_IDENTITY_PRINCIPALS", "{}"],
    ["LATCHGATE_FS_ALLOWED_ROOTS", "/"],
    ["LATCHGATE_EGRESS_LOCAL", "[]"],
  ])("%s names nobody and opens nothing", (variable, value) => {
    expect(load("", { [variable]: value })).toEqual(load(""));
  });

  test.each([
    ["LATCHGATE_LEASE_TTL_S", "soon", "lease.ttl_s"],
    ["LATCHGATE_LEASE_TTL_S", "1e9", "lease.ttl_s"],
    ["LATCHGATE_SANDBOX_RUNNERS", "1.5", "sandbox.runners"],
    ["LATCHGATE_SANDBOX_RUNNERS", "0", "sandbox.runners"],
    ["LATCHGATE_IDENTITY_ALLOW_UNMAPPED", "yes", "identity.allow_unmapped"],
    ["LATCHGATE_LISTEN_CLIENT_MODE", "777", "listen.client_mode"],
  ])("%s=%s is refused", (variable, value, key) => {
    const error = refusal("", { [variable]: value });
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain(key);
  });
});

describe("what is refused", () => {
  test.each([
    ["listn = 1", "listn: unknown key; did you mean listen?"],
    ["[listen]\nclient_sokcet = 'a'", "listen.client_sokcet: unknown key; did you mean client_socket?"],
    ["[operators.a]\nthumbprnt = 'x'", "operators.a.thumbprnt: unknown key; did you mean thumbprint?"],
    [
      "[identity.principals.1000]\ntenent = 'a'",
      "identity.principals.1000.tenent: unknown key; did you mean tenant?",
    ],
    ["[[egress.local]]\nhosts = 'a'", "egress.local[0].hosts: unknown key; did you mean host?"],
    ["[unrelated]\nx = 1", "unrelated: unknown key"],
    ["[identity.principals.alice]\ntenant = 'a'", "a uid"],
    ["[operators.a]\nthumbprint = 'short'", "an rfc 7638 thumbprint"],
    ["public_base_url = 'https://gate.example/path'", "scheme and authority only"],
    ["[limits]\nbody_bytes = '1'", "limits.body_bytes"],
    ["listen = 1", "listen"],
  ])("%s", (text, says) => {
    const error = refusal(text);
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain(says);
    expect(error.hint).toContain("docs/configuration.md");
  });

  test("every fault is told at once", () => {
    const { message } = refusal("nonsense = 1\n[lease]\nttl_s = -1\n");
    expect(message).toContain("nonsense");
    expect(message).toContain("lease.ttl_s");
  });

  test("text that is no toml, with its place but none of its content", () => {
    const error = refusal('token = "hunter2\n');
    expect(error.code).toBe("config_syntax");
    expect(error.message).not.toContain("hunter2");
  });

  test("a key given twice", () =>
    expect(refusal("[lease]\nttl_s = 1\nttl_s = 2\n").code).toBe("config_syntax"));

  test("a file that can't be read", () => {
    expect(() => loadConfig(join(dir, "none.toml"), {})).toThrow(
      expect.objectContaining({ code: "config_unreadable" }),
    );
  });

  test("__proto__ as a name is nobody, and changes nothing for others", () => {
    expect(Object.keys(load('[operators.__proto__]\nthumbprint = "x"\n').operators)).toEqual([]);
    expect(({} as { thumbprint?: string }).thumbprint).toBeUndefined();
  });
});

describe("docs/configuration.md", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/configuration.md"), "utf8");

  test("has the tables that the schema makes; scripts/config-reference.ts writes them", () => {
    expect(page).toBe(currentPage(page));
  });

  test("tells what each key means", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| `"));
    expect(rows.length).toBeGreaterThan(50);
    for (const row of rows) expect(row).toMatch(/\| [^|]+\. \|$/);
  });

  test("shows an example that loads", () => {
    const example = /```toml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
    expect(load(example).identity.principals["1001"]?.principal).toBe("build-agent");
  });
});
