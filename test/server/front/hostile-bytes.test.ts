import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import { closeFronts, converse, openFront } from "./raw-client.ts";

afterAll(closeFronts);

const WHOLE =
  "POST /v1/actions/a/execute?x=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: DPoP t\r\nContent-Length: 5\r\n\r\nhello" +
  "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
  "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

const edit = fc.record({
  at: fc.integer({ min: 0, max: WHOLE.length }),
  cut: fc.integer({ min: 0, max: 4 }),
  put: fc.oneof(
    fc.constantFrom("", "\r\n", "\n", "\r", "\0", " ", "\t", ":", "#", "Content-Length: 1\r\n", "0\r\n\r\n"),
    fc.string({ maxLength: 6, unit: "binary" }),
  ),
});

test("whatever bytes come, every answer is whole, every error is JSON with a code, and the door stays open", async () => {
  const { path, errors, front } = await openFront(
    async (request, response) => response.json(200, (await request.body()).length),
    { limits: { headerMs: 30, requestMs: 30, idleMs: 30, lingerMs: 10 } },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      let bytes = WHOLE;
      for (const { at, cut, put } of edits) bytes = bytes.slice(0, at) + put + bytes.slice(at + cut);
      for (const { status, headers, body } of await converse(path, bytes)) {
        const value: unknown = JSON.parse(body);
        if (status === 200) continue;
        expect(value).toMatchObject({ error: expect.any(String), message: expect.any(String) });
        expect(headers.get("connection")).toBe("close");
      }
    }),
    { seed: 1, numRuns: 150 },
  );
  expect(errors).toEqual([]);
  expect((await converse(path, WHOLE)).map(({ status }) => status)).toEqual([200, 200, 200]);
  while (front.connections > 0) await new Promise((resolve) => setImmediate(resolve));
}, 30_000);
