import { describe, expect, test } from "bun:test";
import type { JsonObject } from "../../src/core/json.ts";
import { NO_CONNECTIONS, type StorageConnection } from "../../src/core/plan/connections.ts";
import { actionOf, parse, storageText } from "./manifests.ts";

const BACKUPS: StorageConnection = {
  endpoint: {
    host: "s3.example.com",
    port: 443,
    tls: "verify",
    region: "eu-central-1",
    addressing: "path",
    accessKeyId: "AKIDEXAMPLE",
  },
  buckets: null,
  keys: null,
  secret: "S3_SECRET",
  ca: null,
};

const SECTION: JsonObject = {
  connection: "backups",
  operation: "put",
  bucket: "reports",
  key: { $param: "key" },
  content: { text: { $param: "content" } },
  mode: "overwrite",
  if_match: { $param: "etag" },
  keys: ["2026/**", "*.csv"],
  max_object_kb: 32,
};
const OBJECT = { key: "2026/may.csv", content: "a,b" };

const changed = (changes: JsonObject) =>
  Object.fromEntries(Object.entries({ ...SECTION, ...changes }).filter(([, value]) => value !== null));

function planned(params: JsonObject, changes: JsonObject = {}, connection: Partial<StorageConnection> = {}) {
  const storage = new Map([["backups", { ...BACKUPS, ...connection }]]);
  const action = actionOf(storageText({ storage: changed(changes) }));
  return action.plan(params, { fsRoot: null, connections: { ...NO_CONNECTIONS, storage } });
}
const code = (result: ReturnType<typeof planned>) => (result.ok ? "ok" : result.code);

test("an object is planned with the facts of its connection", () => {
  const result = planned({ ...OBJECT, etag: '"9b2c"' });
  if (!result.ok) throw new Error(result.message);
  expect(result.plan).toEqual({
    kind: "storage",
    operation: "put",
    connection: "backups",
    endpoint: BACKUPS.endpoint,
    bucket: "reports",
    key: "2026/may.csv",
    content: Buffer.from("a,b"),
    contentType: null,
    ifNoneMatch: false,
    ifMatch: '"9b2c"',
    maxBytes: 32_768,
    secret: "S3_SECRET",
  });
});

test.each([
  ["2026/may.csv", "ok"],
  ["2026/a/b/c", "ok"],
  ["may.csv", "ok"],
  ["2025/may.csv", "path_denied"],
  ["2026", "path_denied"],
  ["a/may.csv", "path_denied"],
  ["2026/../2025/may.csv", "path_invalid"],
  ["2026/%2e%2e/2025/may.csv", "path_invalid"],
  ["2026//may.csv", "path_invalid"],
  ["/2026/may.csv", "path_invalid"],
  ["2026/may.csv/", "path_invalid"],
  ["2026/a\\b", "path_invalid"],
  ["2026/a\u200bb", "path_invalid"],
  ["2026/a\n", "path_invalid"],
  ["", "path_invalid"],
  [`2026/${"ä".repeat(510)}`, "path_invalid"],
])("the key %j: %s", (key, wanted) => {
  expect(code(planned({ ...OBJECT, key }))).toBe(wanted);
});

describe("what the operator opened", () => {
  test("manifest and connection must both list a key that either lists", () => {
    expect(code(planned(OBJECT, {}, { keys: ["**"] }))).toBe("ok");
    expect(code(planned(OBJECT, {}, { keys: ["2025/**"] }))).toBe("path_denied");
    expect(code(planned(OBJECT, { keys: null }, { keys: ["2026/**"] }))).toBe("ok");
    expect(code(planned(OBJECT, { keys: null }))).toBe("path_denied");
  });

  test("and a bucket", () => {
    expect(code(planned(OBJECT, {}, { buckets: ["reports"] }))).toBe("ok");
    expect(code(planned(OBJECT, {}, { buckets: ["other"] }))).toBe("path_denied");
    expect(code(planned(OBJECT, { buckets: ["other"] }))).toBe("path_denied");
  });

  test("a bucket with a dot cannot stand before a host", () => {
    const endpoint = { ...BACKUPS.endpoint, addressing: "host" as const };
    expect(code(planned(OBJECT, { bucket: "my.reports" }, { endpoint }))).toBe("path_denied");
    expect(code(planned(OBJECT, { bucket: "my.reports" }))).toBe("ok");
  });
});

test("a fixed key needs no list, and its glob characters are letters", () => {
  const fixed = planned({ content: "x", etag: '"e"' }, { key: "a[b]*.csv", keys: null });
  expect(fixed.ok && fixed.plan.kind === "storage" && fixed.plan.key).toBe("a[b]*.csv");
});

test.each([
  [{ etag: "9b2c" }, "invalid_content"],
  [{ etag: '"a" , "b"' }, "invalid_content"],
  [{ etag: 'W/"a"' }, "invalid_content"],
  [{ etag: '"a\r\nx-amz-acl: public-read"' }, "invalid_content"],
  [{ content: "x".repeat(32 * 1024 + 1) }, "too_large"],
])("%j: %s", (changes, wanted) => {
  expect(code(planned({ ...OBJECT, ...changes }))).toBe(wanted);
});

test("a create is the usual put, and takes no etag", () => {
  const created = planned(OBJECT, { mode: null, if_match: null, content_type: "text/csv" });
  expect(created.ok && created.plan).toMatchObject({
    ifNoneMatch: true,
    ifMatch: null,
    contentType: "text/csv",
  });
  expect(code(planned(OBJECT, { content_type: "text/csv\r\nx-amz-acl: public-read" }))).toBe(
    "invalid_content",
  );
});

test.each([
  [{ bucket: "Reports" }, "storage.bucket"],
  [{ keys: ["/a"] }, "storage.keys.0"],
  [{ key: "a/../b" }, "storage.key"],
  [{ operation: "get" }, "storage.content"],
  [{ mode: "create" }, "storage.if_match"],
  [{ max_object_kb: 65 }, "storage.max_object_kb"],
  [{ acl: "public-read" }, "storage.acl"],
])("%j has no place in a manifest", (changes, path) => {
  const result = parse(storageText({ storage: changed(changes) }));
  expect(result.ok ? [] : result.problems.map((problem) => problem.path)).toContain(path);
});

test("a weaker manifest of the same id must say why", async () => {
  const { weakenings } = await import("../../src/actions/override.ts");
  const manifest = (changes: JsonObject) => {
    const result = parse(storageText({ storage: changed(changes) }));
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.manifest;
  };
  const before = manifest({});
  expect(weakenings(before, manifest({ keys: ["*.csv"], max_object_kb: 1 }))).toEqual([]);
  for (const wider of [{ keys: ["**"] }, { keys: null }, { bucket: "other" }, { max_object_kb: 64 }])
    expect(weakenings(before, manifest(wider))).toHaveLength(1);
});
