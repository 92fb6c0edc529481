import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compactVerify, importJWK } from "jose";
import { publicJwk, thumbprint } from "../../src/keys/jwk.ts";
import { isFault, project, readPayload } from "../../src/ledger/entry/entry.ts";
import { openJws, protectedHeader, signEntry, verifyJws } from "../../src/ledger/entry/jws.ts";
import { requireTool } from "../require-tool.ts";

const withOpenssl = requireTool("openssl", "apt-get install openssl");

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const jwk = publicJwk(publicKey);
const kid = thumbprint(jwk);

const ID = "018bcfe5-6800-7000-8000-000000000000";
const ENTRY = {
  v: 1,
  log: ID,
  seq: 7,
  id: ID,
  type: "gate.stopped",
  time: "2023-11-14T22:13:20.000Z",
  prev: "0".repeat(64),
  reason: "héllo",
};
const jws = signEntry(ENTRY, kid, privateKey);
const [head = "", body = "", signature = ""] = jws.split(".");
const encode = (text: string) => Buffer.from(text).toString("base64url");

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "latchgate-entry-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("an entry as a compact jws", () => {
  test("has exactly this header and the canonical payload", () => {
    expect(Buffer.from(head, "base64url").toString()).toBe(
      `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-entry+jws"}`,
    );
    expect(Buffer.from(body, "base64url").toString()).toBe(
      `{"id":"${ID}","log":"${ID}","prev":"${"0".repeat(64)}","reason":"héllo","seq":7,"time":"2023-11-14T22:13:20.000Z","type":"gate.stopped","v":1}`,
    );
    expect(openJws(jws)).toMatchObject({ kid, input: `${head}.${body}` });
  });

  test("is verified by jose with the published key alone", async () => {
    const { protectedHeader: header, payload } = await compactVerify(
      jws,
      await importJWK({ ...jwk }, "EdDSA"),
    );
    expect(header).toEqual({ alg: "EdDSA", kid, typ: "latchgate-entry+jws" });
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(ENTRY);
    const opened = openJws(jws);
    expect(opened !== null && verifyJws(opened, publicKey)).toBe(true);
  });

  withOpenssl("is verified by openssl with the published key alone", () => {
    const place = (name: string) => join(scratch, name);
    const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
    writeFileSync(place("key.pem"), key.export({ type: "spki", format: "pem" }));
    writeFileSync(place("signature"), Buffer.from(signature, "base64url"));
    const check = (text: string) => {
      writeFileSync(place("input"), text);
      const words = ["-verify", "-pubin", "-inkey", place("key.pem"), "-rawin", "-in", place("input")];
      return Bun.spawnSync(["openssl", "pkeyutl", ...words, "-sigfile", place("signature")]).exitCode;
    };
    expect(check(`${head}.${body}`)).toBe(0);
    expect(check(`${head}.${body}A`)).not.toBe(0);
  });
});

describe("what is no entry", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  /** The same bytes with the bits set that base64url leaves over; null when none are left over. */
  const respelled = (part: string): string | null => {
    if (part.length % 4 === 0) return null;
    const last = alphabet[alphabet.indexOf(part.at(-1) ?? "") ^ 1] ?? "";
    return part.slice(0, -1) + last;
  };

  test("base64url with altered trailing bits, although libraries verify it", () => {
    const altered = `${head}.${body}.${respelled(signature)}`;
    expect(Buffer.from(altered.split(".")[2] ?? "", "base64url")).toEqual(
      Buffer.from(signature, "base64url"),
    );
    expect(openJws(altered)).toBeNull();
    for (const [i, part] of [head, body].entries()) {
      const other = respelled(part);
      if (other === null) continue;
      expect(openJws(i === 0 ? `${other}.${body}.${signature}` : `${head}.${other}.${signature}`)).toBeNull();
    }
  });

  test.each([
    ["padding", `${jws}==`],
    ["a blank", `${jws} `],
    ["a line end", `${jws}\n`],
    ["a zero byte", `${jws}\0`],
    ["plain base64", `${head}.${body}.${signature.slice(0, -3)}+${signature.slice(-2)}`],
    ["two parts", `${head}.${body}`],
    ["four parts", `${jws}.`],
    ["an empty header", `.${body}.${signature}`],
    ["a short signature", `${head}.${body}.${signature.slice(0, -3)}`],
    ["a payload that is not utf-8", `${head}.${Buffer.of(0xff, 0xfe).toString("base64url")}.${signature}`],
    ["nothing", ""],
  ])("%s", (_, text) => {
    expect(text).not.toBe(jws);
    expect(openJws(text)).toBeNull();
  });

  test.each([
    `{"alg":"none","kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg":"ES256","kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg":"EdDSA","kid":"${kid}"}`,
    `{"alg":"EdDSA","kid":"${kid}","typ":"JWT"}`,
    `{"alg":"EdDSA","typ":"latchgate-entry+jws","kid":"${kid}"}`,
    `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-entry+jws","crit":["b64"],"b64":false}`,
    `{"alg":"EdDSA","b64":true,"kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg":"EdDSA","jwk":${JSON.stringify(jwk)},"kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg":"EdDSA","kid":"${kid}","kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg": "EdDSA","kid":"${kid}","typ":"latchgate-entry+jws"}`,
    `{"alg":"EdDSA","kid":"${kid.slice(1)}","typ":"latchgate-entry+jws"}`,
    `${protectedHeader(kid)} `,
  ])("the header %s, signed as it is", (header) => {
    const input = `${encode(header)}.${body}`;
    expect(
      openJws(`${input}.${sign(null, Buffer.from(input), privateKey).toString("base64url")}`),
    ).toBeNull();
  });
});

describe("a payload", () => {
  const read = (payload: Record<string, unknown>) => {
    const sorted = Object.fromEntries(Object.entries(payload).sort(([a], [b]) => (a < b ? -1 : 1)));
    return readPayload(JSON.stringify(sorted));
  };

  test("is read when it is exactly what its type may have", () => {
    const payload = read(ENTRY);
    if (isFault(payload)) throw new Error(payload.detail);
    expect(project(payload)).toEqual({
      id: ID,
      type: "gate.stopped",
      time_ms: 1_700_000_000_000,
      trace_id: null,
      tenant: null,
      principal: null,
      action_id: null,
      decision: null,
    });
  });

  test.each([
    ["a time that does not exist", { time: "2023-02-30T00:00:00.000Z" }],
    ["a time without milliseconds", { time: "2023-11-14T22:13:20Z" }],
    ["a time in another zone", { time: "2023-11-14T22:13:20.000+00:00" }],
    ["a negative position", { seq: -1 }],
    ["a fraction", { seq: 1.5 }],
    ["an integer that doubles can't tell from its neighbour", { seq: 2 ** 53 }],
    ["an upper-case link", { prev: "A".repeat(64) }],
    ["a short link", { prev: "0".repeat(63) }],
    ["an id of another version", { id: "018bcfe5-6800-4000-8000-000000000000" }],
    ["a text where it is too long", { reason: "x".repeat(257) }],
    ["a text with half a character", { reason: "\ud800" }],
    ["null where there is a text", { reason: null }],
    ["a list where there is a text", { reason: ["x"] }],
    ["a type that objects inherit", { type: "constructor" }],
    ["a member that objects inherit", { toString: "x" }],
  ])("is refused with %s", (_, change) => {
    expect(read({ ...ENTRY, ...change })).toMatchObject({ kind: "invalid" });
  });

  test.each(["", "null", "1", "[]", '"x"', "{", "{}", '{"v":1}', "\u0000"])("is refused as %j", (text) => {
    expect(readPayload(text)).toMatchObject({ kind: "invalid" });
  });

  test("with a member named __proto__ is refused", () => {
    expect(readPayload(JSON.stringify(ENTRY).replace("{", '{"__proto__":{"v":1},'))).toMatchObject({
      kind: "invalid",
    });
  });
});
