import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { nameResolver, type Resolve } from "../../../src/host/http/resolver.ts";
import { type DnsServer, NXDOMAIN, SERVFAIL, startDns } from "../dns-server.ts";

let server: DnsServer;
let resolve: Resolve;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startDns((name, type) => {
    if (name.endsWith("silent.example")) return "silence";
    switch (name) {
      case "both.example":
        return {
          records: [
            type === "A" ? { type, value: "93.184.215.14" } : { type, value: "2606:2800:21f::1", ttl: 9 },
          ],
        };
      case "alias.example":
        return {
          records: [
            { type: "CNAME", value: "inside.example", ttl: 30 },
            ...(type === "A" ? [{ type, value: "10.0.0.1", name: "inside.example" }] : []),
          ],
        };
      case "half.example":
        return type === "A"
          ? { records: [{ type, value: "93.184.215.14" }] }
          : { records: [], rcode: SERVFAIL };
      case "empty.example":
        return { records: [] };
      default:
        return { records: [], rcode: NXDOMAIN };
    }
  });
  resolve = nameResolver([server.server]);
});

afterAll(() => server.close());

test("both families are asked, IPv4 comes first, each with its time to live", async () => {
  expect(await resolve("both.example", never)).toEqual([
    { address: "93.184.215.14", ttl: 60 },
    { address: "2606:2800:21f::1", ttl: 9 },
  ]);
});

test("an alias leads to the address behind it, for its shortest time to live", async () => {
  expect(await resolve("alias.example", never)).toEqual([{ address: "10.0.0.1", ttl: 30 }]);
});

test("a name that does not exist, or has no address, has no answers", async () => {
  expect(await resolve("nobody.example", never)).toEqual([]);
  expect(await resolve("empty.example", never)).toEqual([]);
});

test("half an answer is none", async () => {
  expect(resolve("half.example", never)).rejects.toMatchObject({ code: "dns_failed" });
});

test("names that hang hold up neither other names nor files", async () => {
  const stop = new AbortController();
  // More than a thread pool of this machine would have threads for.
  const hanging = Array.from({ length: 16 }, (_, i) => resolve(`${i}.silent.example`, stop.signal));
  const over = Promise.allSettled(hanging).then((all) => all.map(({ status }) => status));
  expect(await resolve("both.example", never)).toHaveLength(2);
  expect(await readFile("/proc/self/comm", "utf8")).not.toBe("");
  let ended = false;
  void over.then(() => {
    ended = true;
  });
  await new Promise((next) => setImmediate(next));
  expect(ended).toBe(false);
  stop.abort(new Error("over"));
  expect(new Set(await over)).toEqual(new Set(["rejected"]));
});

test("neither the hosts file nor number spellings are used", async () => {
  expect(await resolve("localhost", never)).toEqual([]);
  expect(await resolve("127.1", never)).toEqual([]);
});

test("an aborted lookup ends with the reason of the abort", async () => {
  const stop = new AbortController();
  const reason = new Error("over");
  const lookup = resolve("silent.example", stop.signal);
  stop.abort(reason);
  expect(lookup).rejects.toBe(reason);
  expect(resolve("both.example", stop.signal)).rejects.toBe(reason);
});
