import { expect, test } from "bun:test";
import type { Json } from "../../src/core/json.ts";
import { actionOf, fsText, httpText } from "./manifests.ts";

const http = actionOf(httpText({ response: { headers: ["etag", "location"] } }));
const fs = actionOf(fsText());

const answer = (body: string | Uint8Array, type?: string, rest: object = {}): Json => ({
  ok: true,
  status: 200,
  headers: type === undefined ? [] : [["Content-Type", type]],
  body_base64: Buffer.from(body as Uint8Array).toString("base64"),
  ...rest,
});

test.each([
  ["json", '{"a":[1]}', "application/json", { json: { a: [1] } }],
  ["json with parameters", "1", "Application/JSON; charset=utf-8", { json: 1 }],
  ["a json media type of its own", "null", "application/problem+json", { json: null }],
  ["json that says text", '{"a":1}', "text/plain", { text: '{"a":1}' }],
  ["broken json", '{"a":', "application/json", { text: '{"a":' }],
  ["json with duplicate members", '{"a":1,"a":2}', "application/json", { text: '{"a":1,"a":2}' }],
  ["json with a great integer", "12345678901234567890", "application/json", { text: "12345678901234567890" }],
  [
    "json nested too deep",
    "[".repeat(65) + "]".repeat(65),
    "application/json",
    { text: "[".repeat(65) + "]".repeat(65) },
  ],
  ["json with a prototype", '{"__proto__":1}', "application/json", { text: '{"__proto__":1}' }],
  ["an empty body", "", "application/json", { text: "" }],
  ["text without a type", "é", undefined, { text: "é" }],
  ["latin-1 that says so", Uint8Array.from([0xe9]), "text/html; charset=ISO-8859-1", { text: "é" }],
  ["latin-1 that does not", Uint8Array.from([0xe9]), "text/html", { base64: "6Q==" }],
  ["an unknown charset", "a", "text/html; charset=x-nonsense", { base64: "YQ==" }],
  ["bytes", Uint8Array.from([0, 1, 2]), "application/octet-stream", { base64: "AAEC" }],
  ["text with a nul", "a\0b", "text/plain", { base64: "YQBi" }],
] as [string, string | Uint8Array, string | undefined, object][])("%s", (_name, body, type, content) => {
  expect(http.shape(answer(body, type))).toEqual({
    ok: true,
    status: 200,
    headers: type === undefined ? {} : { "content-type": type },
    ...content,
  } as Json); // the expectations above are JSON
});

test("only listed headers are shown, repeated ones joined", () => {
  const headers = [
    ["ETag", '"1"'],
    ["set-cookie", "session=1"],
    ["location", "/a"],
    ["Location", "/b"],
    ["x-powered-by", "y"],
    ["__proto__", "z"],
  ];
  expect(http.shape(answer("", undefined, { headers }))).toEqual({
    ok: true,
    status: 200,
    headers: { etag: '"1"', location: "/a, /b" },
    text: "",
  });
});

test("another status keeps its body, and its error", () => {
  const error = { code: "http_status", message: "status 404" };
  expect(http.shape(answer("no", "text/plain", { ok: false, status: 404, error }))).toEqual({
    ok: false,
    status: 404,
    headers: { "content-type": "text/plain" },
    text: "no",
    error,
  });
});

test("errors pass as they are, other members of a component too", () => {
  const error = { ok: false, error: { code: "connect_failed", message: "connect_failed" } };
  expect(http.shape(error)).toEqual(error);
  expect(fs.shape(error)).toEqual(error);
  expect(http.shape({ ok: true, issue: 7 })).toEqual({ ok: true, issue: 7 });
});

test.each([[null], [1], ["x"], [[]], [{}], [{ ok: "true" }], [{ ok: 1 }]] as [Json][])(
  "%j is no output",
  (raw) => {
    for (const action of [http, fs])
      expect(action.shape(raw)).toEqual({
        ok: false,
        error: { code: "invalid_output", message: "the provider's answer is not an object with ok" },
      });
  },
);

test("a read file is text when it is text", () => {
  const read = (content_base64: string) => ({
    ok: true,
    path: "a",
    size_bytes: 2,
    hash: "sha256:00",
    content_base64,
  });
  expect(fs.shape(read("aGk="))).toEqual({
    ok: true,
    path: "a",
    size_bytes: 2,
    hash: "sha256:00",
    text: "hi",
  });
  expect(fs.shape(read("/wA="))).toEqual({
    ok: true,
    path: "a",
    size_bytes: 2,
    hash: "sha256:00",
    base64: "/wA=",
  });
  expect(fs.shape(read("a"))).toEqual({
    ok: false,
    error: { code: "invalid_output", message: "the provider's content is not base64" },
  });
});

test("a written file's record passes as it is", () => {
  const raw = { ok: true, path: "a", after_hash: "sha256:00", bytes_written: 2 };
  expect(fs.shape(raw)).toEqual(raw);
});
