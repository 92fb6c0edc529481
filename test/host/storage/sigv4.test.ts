import { describe, expect, test } from "bun:test";
import { SignatureV4 } from "@smithy/signature-v4";
import fc from "fast-check";
import { sha256Hex } from "../../../src/core/bytes.ts";
import { objectKeyFault } from "../../../src/core/object-key.ts";
import { objectRequest } from "../../../src/host/storage/object-request.ts";
import { authorization, encodeKey } from "../../../src/host/storage/sigv4.ts";
import { NodeSha256 } from "../../s3-store.ts";
import { storagePlan } from "../plans.ts";

const KEY_ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const scope = {
  accessKeyId: KEY_ID,
  secret: Buffer.from(SECRET),
  region: "us-east-1",
  service: "s3",
  now: Date.UTC(2013, 4, 24),
};
const EMPTY = sha256Hex("");
const HOST = ["host", "examplebucket.s3.amazonaws.com"] as const;
const DATE = ["x-amz-date", "20130524T000000Z"] as const;

/** The examples of "Signature Calculations for the Authorization Header" in the Amazon S3 API Reference. */
describe("the published examples of Amazon S3", () => {
  test.each([
    [
      "GET object",
      {
        method: "GET",
        path: "/test.txt",
        query: "",
        headers: [HOST, ["range", "bytes=0-9"], ["x-amz-content-sha256", EMPTY], DATE],
        payloadHash: EMPTY,
      },
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ],
    [
      "PUT object",
      {
        method: "PUT",
        path: "/test%24file.text",
        query: "",
        headers: [
          ["date", "Fri, 24 May 2013 00:00:00 GMT"],
          HOST,
          DATE,
          ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
          ["x-amz-content-sha256", sha256Hex("Welcome to Amazon S3.")],
        ],
        payloadHash: sha256Hex("Welcome to Amazon S3."),
      },
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ],
    [
      "GET bucket lifecycle",
      {
        method: "GET",
        path: "/",
        query: "lifecycle",
        headers: [HOST, ["x-amz-content-sha256", EMPTY], DATE],
        payloadHash: EMPTY,
      },
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ],
    [
      "GET bucket (list objects)",
      {
        method: "GET",
        path: "/",
        query: "max-keys=2&prefix=J",
        headers: [HOST, ["x-amz-content-sha256", EMPTY], DATE],
        payloadHash: EMPTY,
      },
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ],
  ] as const)("%s", (_, request, signature) => {
    expect(authorization(request, scope)).toEndWith(`Signature=${signature}`);
  });
});

test("a published signer signs the same requests alike", async () => {
  const other = new SignatureV4({
    credentials: { accessKeyId: KEY_ID, secretAccessKey: SECRET },
    region: "eu-central-1",
    service: "s3",
    sha256: NodeSha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
  const odd = fc.constantFrom(
    "a b",
    "a+b",
    "a%b",
    "~'()*!",
    "ä/ö",
    "=&?#",
    "日本",
    "a//b".replace("//", "/"),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(part, odd), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/")),
      fc.option(fc.uint8Array({ maxLength: 100 })),
      fc.boolean(),
      fc.constantFrom("path", "host"),
      fc.constantFrom(443, 9000),
      fc.integer({ min: 0, max: 4_102_444_800_000 }),
      async (key, content, ifNoneMatch, addressing, port, now) => {
        if (objectKeyFault(key) !== null) return;
        const base = storagePlan();
        const endpoint = { ...base.endpoint, addressing, port, accessKeyId: KEY_ID } as const;
        const plan = storagePlan({
          key,
          content,
          operation: content === null ? "get" : "put",
          ifNoneMatch: content !== null && ifNoneMatch,
          contentType: content === null ? null : "text/plain; charset=utf-8",
          endpoint,
        });
        const ours = objectRequest(plan, Buffer.from(SECRET), now);
        const { authorization: signature, ...headers } = Object.fromEntries(ours.headers);
        const theirs = await other.sign(
          {
            method: ours.method,
            protocol: "https:",
            hostname: ours.authority,
            path: ours.target,
            query: {},
            headers: { ...headers, host: ours.authority },
          },
          {
            signingDate: new Date(Math.floor(now / 1000) * 1000),
            signableHeaders: new Set(["content-type"]),
          },
        );
        expect(signature).toBe(theirs.headers.authorization);
        expect(signature).toContain("content-sha256");
      },
    ),
    { seed: 3, numRuns: 300 },
  );
});

test("a key on the wire is encoded once, and decodes to itself", () => {
  expect(encodeKey("~'()*!/a b")).toBe("~%27%28%29%2A%21/a%20b");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (key) => {
      const encoded = encodeKey(key);
      expect(encoded).toMatch(/^[A-Za-z0-9._~%/-]*$/);
      expect(decodeURIComponent(encoded)).toBe(key);
    }),
    { seed: 4 },
  );
});

test("no request is without the hash of its content", () => {
  for (const content of [Buffer.from("x"), null]) {
    const plan = storagePlan({ content, operation: content === null ? "get" : "put" });
    const headers = Object.fromEntries(objectRequest(plan, Buffer.from(SECRET), 0).headers);
    expect(headers["x-amz-content-sha256"]).toBe(sha256Hex(content ?? ""));
    for (const name of Object.keys(headers).filter((one) => one !== "authorization"))
      expect(headers.authorization).toContain(name);
  }
});
