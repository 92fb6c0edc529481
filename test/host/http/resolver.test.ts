import { afterAll, beforeAll, expect, test } from "bun:test";
import { nameResolver, type Resolve } from "../../../src/host/http/resolver.ts";
import { type DnsServer, NXDOMAIN, SERVFAIL, startDns } from "../dns-server.ts";

let server: DnsServer;
let resolve: Resolve;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startDns((name, type) => {
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
      case "silent.example":
        return "silence";
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
