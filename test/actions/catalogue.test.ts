import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { builtinManifests, loadActions } from "../../src/actions/index.ts";
import { schemaFault } from "../../src/actions/json-schema.ts";
import { parseManifest } from "../../src/actions/manifest.ts";
import { impliedRisk, riskRank } from "../../src/actions/risk.ts";

const folder = join(import.meta.dir, "..", "..", "providers", "actions");
const { registry, problems } = await loadActions({ builtins: builtinManifests(), directories: [] });

function action(id: string) {
  const found = registry.get(id);
  if (found === undefined) throw new Error(`no action ${id}`);
  return found;
}

test("every file of the catalogue is embedded, sound, and called like its id", () => {
  expect(problems).toEqual([]);
  const files = readdirSync(folder).sort();
  expect(registry.list().map(({ id }) => `${id}.yaml`)).toEqual(files);
  for (const one of registry.list()) expect(basename(one.source.file)).toBe(`${one.id}.yaml`);
});

test("the catalogue loads alike without trusting that its schemas were checked", () => {
  for (const { file, origin, text } of builtinManifests()) {
    const result = parseManifest({ file, origin, text });
    expect(result.ok ? [] : result.problems).toEqual([]);
    expect(result.ok && result.digest).toBe(registry.get(basename(file, ".yaml"))?.digest ?? "");
  }
  for (const one of registry.list()) expect(schemaFault(one.paramsSchema)).toBeNull();
});

test.each([
  ["database_execute", "high", ["db_write"]],
  ["database_query", "medium", ["db_read"]],
  ["email_send", "high", ["mail_send"]],
  ["fs_delete", "critical", ["fs_delete"]],
  ["fs_read", "low", ["fs_read"]],
  ["fs_write", "high", ["fs_write"]],
  ["github_create_issue", "medium", ["http_write"]],
  ["github_read", "medium", ["http_read"]],
  ["http_bearer_get", "medium", ["http_read"]],
  ["http_delete", "high", ["http_delete"]],
  ["http_fetch", "low", ["http_read"]],
  ["http_post", "medium", ["http_write"]],
  ["http_put", "medium", ["http_write"]],
  ["queue_publish", "high", ["queue_publish"]],
  ["s3_get", "medium", ["storage_read"]],
  ["s3_put", "high", ["storage_write"]],
  ["slack_post_message", "medium", ["http_write"]],
  ["web_read", "low", ["http_read"]],
])("%s is %s with %j", (id, level, effects) => {
  const one = action(id);
  expect([one.risk.level, [...one.effects], one.requiredScopes]).toEqual([
    level as "low",
    effects,
    ["tools:call"],
  ]);
  expect(one.risk.because).not.toBeNull();
  const source = builtinManifests().find(({ file }) => file.endsWith(`${id}.yaml`));
  const manifest = source === undefined ? null : parseManifest(source);
  if (!manifest?.ok) throw new Error("refused");
  expect(riskRank(one.risk.level)).toBeGreaterThanOrEqual(riskRank(impliedRisk(manifest.manifest)));
  expect(manifest.manifest.verify.kind).not.toBe("none");
});

test("what was listed is listed, anything else is left to a human", () => {
  const hosts = (id: string, url: string) => {
    const result = action(id).plan({ url, body: 1 }, { fsRoot: null });
    return result.ok ? result.unresolved.hosts : [result.code];
  };
  expect(hosts("http_fetch", "https://api.github.com/zen")).toEqual([]);
  expect(hosts("http_fetch", "https://de.wikipedia.org/")).toEqual([]);
  expect(hosts("http_fetch", "https://wikipedia.org/")).toEqual(["wikipedia.org"]);
  expect(hosts("http_post", "https://httpbin.org/post")).toEqual([]);
  expect(hosts("http_post", "https://api.github.com/")).toEqual(["api.github.com"]);
  for (const id of ["http_put", "http_delete", "web_read"])
    expect(hosts(id, "https://httpbin.org/")).toEqual(["httpbin.org"]);
  for (const id of ["http_fetch", "http_post", "http_put", "http_delete", "web_read"])
    expect(hosts(id, "http://httpbin.org/")).toEqual(["scheme_not_allowed"]);
});

test("a credential goes where its service wants it, and nowhere else", () => {
  const bound = (id: string, params: Record<string, string>) => {
    const result = action(id).plan(params, { fsRoot: null });
    if (!result.ok) return result.code;
    return result.plan.kind === "http" ? result.plan.secrets : "fs";
  };
  const bearer = (secret: string, origin: string, required: boolean) => [
    { secret, in: "header", name: "authorization", format: "Bearer {secret}", origin, required } as const,
  ];
  expect(bound("github_create_issue", { owner: "o", repo: "r", title: "t" })).toEqual(
    bearer("GITHUB_TOKEN", "https://api.github.com", true),
  );
  expect(bound("github_read", { path: "user/repos" })).toEqual(
    bearer("GITHUB_TOKEN", "https://api.github.com", false),
  );
  expect(bound("slack_post_message", { channel: "C0123456789", text: "hi" })).toEqual(
    bearer("SLACK_BOT_TOKEN", "https://slack.com", true),
  );
  expect(bound("http_bearer_get", { url: "https://api.example.com/v1/x" })).toEqual(
    bearer("API_BEARER_TOKEN", "https://api.example.com", true),
  );
  expect(bound("http_bearer_get", { url: "https://evil.example/" })).toBe("host_not_allowed");
});

test("http_post sends the json value that it was given", () => {
  const body = (value: string | object) => {
    const checked = action("http_post").check({ url: "https://httpbin.org/post", body: value as string });
    const result = checked.ok ? action("http_post").plan(checked.params, { fsRoot: null }) : null;
    if (result?.ok !== true || result.plan.kind !== "http" || result.plan.body === null)
      throw new Error("refused");
    return Buffer.from(result.plan.body).toString("utf8");
  };
  expect(body({ b: 1, a: [null] })).toBe('{"a":[null],"b":1}');
  expect(body('{"a":1}')).toBe('"{\\"a\\":1}"');
});

test("fs actions take what published clients send, and what people type", () => {
  const root = { fsRoot: "/srv/root" };
  const plan = (id: string, body: Parameters<ReturnType<typeof action>["check"]>[0]) => {
    const checked = action(id).check(body);
    if (!checked.ok) return checked.problems;
    const result = action(id).plan(checked.params, root);
    return result.ok && result.plan.kind === "fs" ? [result.plan.operation, result.unresolved.paths] : result;
  };
  expect(plan("fs_read", { operation: "read", path: "src/a.ts" })).toEqual(["read", []]);
  expect(plan("fs_read", { path: "README.md" })).toEqual(["read", []]);
  expect(plan("fs_read", { path: "infra/a.txt" })).toEqual(["read", ["infra/a.txt"]]);
  expect(
    plan("fs_write", { operation: "write", path: "src/a", content_base64: "aGk=", mode: "create" }),
  ).toEqual(["create", []]);
  expect(plan("fs_write", { path: "tests/a", content: "hi" })).toEqual(["overwrite", []]);
  expect(plan("fs_delete", { path: "src/a", expected_before_hash: `sha256:${"0".repeat(64)}` })).toEqual([
    "delete",
    [],
  ]);
  expect(plan("fs_read", { operation: "delete", path: "src/a.ts" })).toEqual([
    '/operation: must be one of ["read"]',
  ]);
});

test.each([
  [".env", ["fs_read", "fs_write", "fs_delete"]],
  ["src/.env.local", ["fs_read", "fs_write", "fs_delete"]],
  ["SRC/.ENV", ["fs_read", "fs_write", "fs_delete"]],
  ["src/secrets/a", ["fs_read", "fs_write", "fs_delete"]],
  [".ssh/config", ["fs_read", "fs_write", "fs_delete"]],
  ["src/id_rsa", ["fs_read", "fs_write", "fs_delete"]],
  ["src/tls/server.key", ["fs_read", "fs_write", "fs_delete"]],
  ["latchgate.toml", ["fs_read", "fs_write", "fs_delete"]],
  [".latchgate/keys/a", ["fs_read", "fs_write", "fs_delete"]],
  [".git/config", ["fs_read", "fs_write", "fs_delete"]],
  [".git", ["fs_write", "fs_delete"]],
  [".github/workflows/ci.yml", ["fs_write", "fs_delete"]],
  ["src/package.json", ["fs_write", "fs_delete"]],
  ["docs/Dockerfile.prod", ["fs_write", "fs_delete"]],
])("%s is denied for %j", (path, ids) => {
  const denied = ["fs_read", "fs_write", "fs_delete"].filter((id) => {
    const result = action(id).plan({ path, content: "x", mode: "overwrite" }, { fsRoot: "/srv/root" });
    return !result.ok && result.code === "path_denied";
  });
  expect(denied).toEqual(ids);
});

test("caps fit: a read file fits its answer, a written one its request", () => {
  const longest = Buffer.alloc(720 * 1024, 1).toString("base64");
  const checked = action("fs_write").check({ path: "src/a", content_base64: longest });
  expect(checked.ok && action("fs_write").plan(checked.params, { fsRoot: "/srv/root" }).ok).toBe(true);
  const read = action("fs_read").plan({ path: "src/a" }, { fsRoot: "/srv/root" });
  if (!read.ok || read.plan.kind !== "fs") throw new Error("refused");
  expect(read.plan.maxFileBytes).toBeLessThanOrEqual(action("fs_read").maxima.responseBytes);
});

test("the wire shapes are those that published clients read, and more", () => {
  const fetch = action("http_fetch");
  expect(fetch.summaryRow()).toEqual({
    action_id: "http_fetch",
    version: "1.1.0",
    risk_level: "low",
    summary: fetch.summary,
    tags: ["agent", "team", "research", "data-pipeline", "coding"],
  });
  const hosts = ["httpbin.org", "api.github.com", "*.wikipedia.org", "hacker-news.firebaseio.com"];
  expect(fetch.detail()).toEqual({
    action_id: "http_fetch",
    version: "1.1.0",
    provider_module_digest: "builtin:http_api",
    risk_level: "low",
    resource_limits: {
      fuel: 50_000_000,
      memory_mb: 128,
      timeout_seconds: 30,
      max_io_calls: 1,
      max_host_response_bytes: 1_048_576,
    },
    io: {
      max_request_bytes: 16_384,
      max_response_bytes: 1_048_576,
      has_request_schema: true,
      has_response_schema: false,
    },
    egress: {
      proxy_allowlist: { allowed_domains: hosts },
      profile: "proxy_allowlist",
      allowed_domains: hosts,
      may_learn: true,
    },
    secrets: [],
    declared_side_effects: ["http_read"],
    summary: fetch.summary,
    risk: { level: "low", because: fetch.risk.because },
    tags: ["agent", "team", "research", "data-pipeline", "coding"],
    digest: fetch.digest,
    required_scopes: ["tools:call"],
    verification: "http",
    cost: { cents: 0 },
  });
  expect(action("fs_read").detail().egress).toBe("none");
  expect(action("fs_read").provider).toEqual({ kind: "builtin", name: "fs", ref: "builtin:fs" });
});

test("the catalogue is part of a compiled binary", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "latchgate-catalogue-"));
  try {
    const entry = join(scratch, "main.ts");
    const index = join(import.meta.dir, "..", "..", "src", "actions", "index.ts");
    writeFileSync(
      entry,
      `import { builtinManifests, loadActions } from ${JSON.stringify(index)};
const { registry, problems } = await loadActions({ builtins: builtinManifests(), directories: [] });
console.log(registry.digest, problems.length);\n`,
    );
    const outfile = join(scratch, "main");
    const built = await Bun.build({ entrypoints: [entry], compile: { outfile }, minify: true });
    expect(built.success).toBe(true);
    const ran = Bun.spawnSync([outfile], { cwd: scratch, env: {} });
    expect(ran.stdout.toString()).toBe(`${registry.digest} 0\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}, 60_000);
