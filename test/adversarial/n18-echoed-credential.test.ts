/** A credential that the upstream gives back, in any spelling and any pieces, reaches neither component nor record. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import type { SecretBinding } from "../../src/core/secret-binding.ts";
import { createHost, type Host } from "../../src/host/index.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { type Origin, startOrigin } from "../host/origin.ts";
import { callFor, doorRequest, httpPlan } from "../host/plans.ts";
import { TableSource } from "../host/secrets.ts";

const ORIGIN = "https://api.example.com";
const values: Record<string, string> = {};
let echo: { readonly body: Buffer; readonly header: string; readonly cuts: readonly number[] };
let origin: Origin;
let host: Host;

beforeAll(async () => {
  const authority = makeAuthority("echo authority");
  origin = await startOrigin(issue(authority, { names: ["api.example.com"] }), async (request, response) => {
    request.resume();
    response.setHeader("x-echo", echo.header);
    let at = 0;
    for (const cut of echo.cuts) {
      response.write(echo.body.subarray(at, at + cut));
      at += cut;
      // Each piece in a packet, and a read, of its own.
      await new Promise((next) => setImmediate(next));
    }
    response.end(echo.body.subarray(at));
  });
  host = createHost({
    authorities: [authority.certificate],
    secrets: new TableSource(values),
    testing: {
      resolve: async () => [{ address: "93.184.215.14", ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
    },
  });
});
afterAll(async () => {
  await host.close();
  await origin.close();
});

type Spell = (value: string) => string;

const SPELLINGS: Readonly<Record<string, Spell>> = {
  raw: (value) => value,
  base64: (value) => Buffer.from(value).toString("base64"),
  base64url: (value) => Buffer.from(value).toString("base64url"),
  hex: (value) => Buffer.from(value).toString("hex"),
  "upper hex": (value) => Buffer.from(value).toString("hex").toUpperCase(),
  percent: encodeURIComponent,
  "lower percent": (value) => encodeURIComponent(value).replace(/%../g, (found) => found.toLowerCase()),
  form: (value) => new URLSearchParams({ v: value }).toString().slice(2),
  json: (value) => JSON.stringify(value).slice(1, -1),
};

const PLACES: readonly Pick<SecretBinding, "in" | "name" | "format">[] = [
  { in: "header", name: "authorization", format: "Bearer {secret}" },
  { in: "query", name: "key", format: "{secret}" },
  { in: "body", name: "/key", format: "{secret}" },
];

/** As the gate would keep it: answers and records, in any of the spellings. */
function holds(text: string, value: string): boolean {
  return Object.values(SPELLINGS).some((spell) => text.includes(spell(value)));
}

test("property: whatever the value, its place, the spelling of its echo and the pieces that it comes in", async () => {
  // Visible ASCII with blanks inside, as a header can carry it; no eight of one kind, so that chance is no match.
  const value = fc
    .string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 10,
      maxLength: 40,
    })
    .map((text) => `${text.slice(0, 5)} ${text.slice(5)}`);
  const filler = fc.string({ unit: fc.constantFrom(...'abc {}"%+/=\\'), maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      value,
      fc.constantFrom(...PLACES),
      fc.array(fc.tuple(filler, fc.constantFrom(...Object.keys(SPELLINGS))), { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 12 }),
      async (secret, place, parts, cuts) => {
        values.TOKEN = secret;
        const text = parts.map(([before, name]) => `${before}<${SPELLINGS[name]?.(secret)}>`).join("");
        echo = { body: Buffer.from(text), header: `is ${secret}`, cuts };
        const plan = httpPlan({
          method: "POST",
          body: Buffer.from("{}"),
          responseHeaders: ["x-echo"],
          secrets: [{ secret: "TOKEN", ...place, origin: ORIGIN, required: true }],
        });
        const door = host.door(doorRequest(plan));
        const answer = await door.call(callFor(plan));
        const said = await door.scrub({ text, [secret]: [secret] });
        await door.close();
        if (!("ok" in answer) || answer.kind !== "http.request") throw new Error(JSON.stringify(answer));
        const seen = [
          Buffer.from(answer.ok.body).toString(),
          JSON.stringify(answer.ok.headers),
          JSON.stringify(said),
          JSON.stringify(door.effects()),
        ];
        for (const one of seen) expect(holds(one, secret)).toBe(false);
        expect(door.effects()).toMatchObject([{ error: null, scrubbed: expect.any(Number) }]);
        expect(door.redactions()).toBeGreaterThanOrEqual(parts.length + 1);
      },
    ),
    { seed: 18, numRuns: 120 },
  );
});
