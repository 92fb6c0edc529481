import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import type { HttpEffect } from "../../src/core/effect.ts";
import type { HttpPlan } from "../../src/core/plan.ts";
import { hostMatches, parseTargetUrl, UrlError, type UrlFault } from "../../src/core/url.ts";
import { createHost, type Host, isPublicAddress } from "../../src/host/index.ts";
import { issue, makeAuthority } from "../certificates.ts";
import { type DnsServer, NXDOMAIN, startDns } from "../host/dns-server.ts";
import { answer, type Origin, startRawOrigin } from "../host/origin.ts";
import { callFor, doorRequest, httpPlan } from "../host/plans.ts";

const PUBLIC = "93.184.215.14";
const authority = makeAuthority("n11 authority");
const ALLOWED = "api.github.com";

let dns: DnsServer;
let origin: Origin;
let host: Host;
/** Requests that arrived, and every address that was dialled. */
let requests = 0;
const dialled: string[] = [];

const NAMES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  // One row per time that the name is asked; the last one stays.
  [ALLOWED]: [[PUBLIC]],
  "evil.com": [[PUBLIC]],
  "xn--bcher-kva.example": [[PUBLIC]],
  "loopback.example": [["127.0.0.1"]],
  "metadata.example": [["169.254.169.254"]],
  "mixed.example": [[PUBLIC, "10.0.0.1"]],
  "mixed6.example": [[PUBLIC, "::1"]],
  "mapped.example": [["::ffff:7f00:1"]],
  "mappedpublic.example": [["::ffff:5db8:d70e"]],
  "nat64.example": [["64:ff9b::7f00:1"]],
  "localnat64.example": [["64:ff9b:1::5db8:d70e"]],
  "sixtofour.example": [["2002:7f00:1::1"]],
  "rebinding.example": [[PUBLIC], ["127.0.0.1"]],
};

beforeAll(async () => {
  dns = await startDns((name, type, asked) => {
    if (name === "alias.example")
      return {
        records: [
          { type: "CNAME", value: "inside.example", ttl: 0 },
          ...(type === "A" ? [{ type, value: "192.168.1.1", name: "inside.example", ttl: 0 } as const] : []),
        ],
      };
    const rows = NAMES[name];
    if (rows === undefined) return { records: [], rcode: NXDOMAIN };
    const row = rows[Math.min(asked, rows.length - 1)] ?? [];
    const family = type === "AAAA" ? 6 : 4;
    // A time to live of 0: every call of this test asks again.
    return {
      records: row.filter((value) => isIP(value) === family).map((value) => ({ type, value, ttl: 0 })),
    };
  });
  const names = Object.keys(NAMES);
  origin = await startRawOrigin(issue(authority, { names, addresses: [PUBLIC] }), (socket, received) => {
    requests += 1;
    if (received.includes("/moved"))
      socket.write("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:80/\r\ncontent-length: 0\r\n\r\n");
    else answer(socket, "reached");
  });
  host = createHost({
    authorities: [authority.certificate],
    nameServers: [dns.server],
    testing: {
      dial: (address) => {
        dialled.push(address);
        return { address: "127.0.0.1", port: origin.port };
      },
    },
  });
});

afterAll(async () => {
  await host.close();
  await origin.close();
  dns.close();
});

async function perform(plan: HttpPlan, url = plan.url): Promise<{ err: string | null; effect: HttpEffect }> {
  const door = host.door(doorRequest(plan));
  const call = callFor(plan);
  const reply = await door.call(call.kind === "http.request" ? { ...call, url } : call);
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "http") throw new Error("no http effect");
  return { err: "err" in reply ? reply.err : null, effect };
}

/** Texts that some parser somewhere reads as another target; ours reads none of them. */
const UNREADABLE: readonly (readonly [text: string, fault: UrlFault])[] = [
  ["https://api.github.com@evil.com/", "userinfo"],
  ["https://evil.com@api.github.com/", "userinfo"],
  ["https://user:secret@api.github.com/", "userinfo"],
  ["https://@api.github.com/", "userinfo"],
  ["https://:@api.github.com/", "userinfo"],
  ["https://api.github.com%40evil.com/", "not_a_url"],
  ["https://evil.com\\@api.github.com/", "characters"],
  ["https:\\\\api.github.com/", "characters"],
  ["https://api.github.com\\.evil.com/", "characters"],
  ["https://api.github\t.com/", "characters"],
  ["\thttps://api.github.com/", "characters"],
  ["https://api.github.com/\n", "characters"],
  ["https://api.github.com /", "characters"],
  ["https://evil.com\u0000.api.github.com/", "characters"],
  ["https://evil.com\u200b.api.github.com/", "characters"],
  ["https:api.github.com/", "scheme"],
  ["https:/api.github.com/", "scheme"],
  ["//api.github.com/", "not_a_url"],
  ["api.github.com", "not_a_url"],
  ["https:///api.github.com/", "not_a_url"],
  ["ftp://api.github.com/", "scheme"],
  ["file:///etc/passwd", "scheme"],
  ["gopher://api.github.com/", "scheme"],
  ["javascript:alert(1)", "scheme"],
  ["https://api.github.com:0/", "host"],
  ["https://api.github.com:65536/", "not_a_url"],
  ["https://[fe80::1%25eth0]/", "not_a_url"],
  ["https://api.github.com../", "host"],
  ["https://a..b.example/", "host"],
];

/** Texts that mean a host plainly, and what becomes of a plan for it even when its egress names that host. */
const READABLE: readonly (readonly [text: string, host: string, verdict: string | null])[] = [
  ["https://evil.com/@api.github.com", "evil.com", null],
  ["https://EVIL.com/@api.github.com", "evil.com", null],
  ["https://evil.com/?@api.github.com", "evil.com", null],
  ["https://evil.com#@api.github.com", "evil.com", null],
  ["https://evil.com?.api.github.com", "evil.com", null],
  ["https://API.GitHub.COM/", "api.github.com", null],
  ["HTTPS://api.github.com:443/", "api.github.com", null],
  ["https://api.github.com./", "api.github.com", null],
  ["https://b\u00fccher.example/", "xn--bcher-kva.example", null],
  ["https://B\u00dcCHER.example/", "xn--bcher-kva.example", null],
  ["https://\uff41pi.github.com/", "api.github.com", null],
  ["https://api\u3002github\u3002com/", "api.github.com", null],
  ["https://%61pi.github.com/", "api.github.com", null],
  [`https://${PUBLIC}/`, PUBLIC, null],
  ["https://2130706433/", "127.0.0.1", "address_not_public"],
  ["https://0x7f000001/", "127.0.0.1", "address_not_public"],
  ["https://0x7f.1/", "127.0.0.1", "address_not_public"],
  ["https://0177.0.0.1/", "127.0.0.1", "address_not_public"],
  ["https://127.1/", "127.0.0.1", "address_not_public"],
  ["https://127.0.0.1./", "127.0.0.1", "address_not_public"],
  ["https://\u2460\u2461\u2466.0.0.1/", "127.0.0.1", "address_not_public"],
  ["https://0/", "0.0.0.0", "address_not_public"],
  ["https://10.0.0.1/", "10.0.0.1", "address_not_public"],
  ["https://169.254.169.254/latest/meta-data/", "169.254.169.254", "address_not_public"],
  ["https://[::1]/", "::1", "address_not_public"],
  ["https://[::]/", "::", "address_not_public"],
  ["https://[::ffff:127.0.0.1]/", "::ffff:7f00:1", "address_not_public"],
  ["https://[::ffff:93.184.215.14]/", "::ffff:5db8:d70e", "address_not_public"],
  ["https://[0:0:0:0:0:FFFF:7F00:0001]/", "::ffff:7f00:1", "address_not_public"],
  ["https://[64:ff9b::127.0.0.1]/", "64:ff9b::7f00:1", "address_not_public"],
  ["https://[64:ff9b:1::5db8:d70e]/", "64:ff9b:1::5db8:d70e", "address_not_public"],
  ["https://[2002:7f00:1::]/", "2002:7f00:1::", "address_not_public"],
  ["https://[2001:0:7f00:1::]/", "2001:0:7f00:1::", "address_not_public"],
  ["https://[fe80::1]/", "fe80::1", "address_not_public"],
  ["https://[fd00:ec2::254]/", "fd00:ec2::254", "address_not_public"],
  ["https://localhost/", "localhost", "dns_failed"],
  ["https://loopback.example/", "loopback.example", "address_not_public"],
  ["https://metadata.example/", "metadata.example", "address_not_public"],
  ["https://mixed.example/", "mixed.example", "address_not_public"],
  ["https://mixed6.example/", "mixed6.example", "address_not_public"],
  ["https://mapped.example/", "mapped.example", "address_not_public"],
  ["https://mappedpublic.example/", "mappedpublic.example", "address_not_public"],
  ["https://nat64.example/", "nat64.example", "address_not_public"],
  ["https://localnat64.example/", "localnat64.example", "address_not_public"],
  ["https://sixtofour.example/", "sixtofour.example", "address_not_public"],
  ["https://alias.example/", "alias.example", "address_not_public"],
  ["https://nobody.example/", "nobody.example", "dns_failed"],
  ["https://api.github.com:8443/", "api.github.com", "port_not_allowed"],
  ["https://api.github.com:80/", "api.github.com", "port_not_allowed"],
  ["http://api.github.com:443/", "api.github.com", "port_not_allowed"],
  ["http://api.github.com:6379/", "api.github.com", "port_not_allowed"],
];

describe("a text that parsers disagree on", () => {
  for (const [text, fault] of UNREADABLE)
    test(`${JSON.stringify(text)} is refused by the parser and by the door alike`, async () => {
      const parse = () => parseTargetUrl(text);
      expect(parse).toThrow(UrlError);
      try {
        parse();
      } catch (thrown) {
        expect(thrown instanceof UrlError ? thrown.fault : thrown).toBe(fault);
      }
      const before = [requests, dialled.length];
      // Asked for in place of the plan's URL, and as the URL of a plan that got past everything else.
      const planned = httpPlan({ url: `https://${ALLOWED}/`, hosts: [ALLOWED] });
      const broken = httpPlan({ url: text, hosts: [ALLOWED, "evil.com"] });
      for (const outcome of [await perform(planned, text), await perform(broken)])
        expect([outcome.err, outcome.effect.reached]).toEqual(["differs_from_plan", "none"]);
      expect([requests, dialled.length]).toEqual(before);
    });
});

describe("a text that means one host", () => {
  for (const [text, expected, verdict] of READABLE)
    test(`${JSON.stringify(text)} is ${expected} for the parser, the guard and the broker`, async () => {
      const url = parseTargetUrl(text);
      expect(url.host).toBe(expected);
      expect(parseTargetUrl(url.href)).toEqual(url);
      expect(hostMatches(ALLOWED, url.host)).toBe(expected === ALLOWED);
      if (url.literal !== 0) expect(isPublicAddress(url.host)).toBe(verdict === null);

      // The egress names another host: refused before anything is looked up.
      const asked = dns.questions.length;
      const before = [requests, dialled.length];
      const elsewhere = await perform(httpPlan({ url: url.href, hosts: ["other.example"] }), text);
      expect([elsewhere.err, elsewhere.effect.reached]).toEqual(["host_not_allowed", "none"]);
      expect([requests, dialled.length, dns.questions.length]).toEqual([...before, asked]);

      // The egress names this very host: the address has the last word.
      const here = await perform(httpPlan({ url: url.href, hosts: [expected] }), text);
      expect(here.err).toBe(verdict);
      if (verdict === null) {
        expect([here.effect.address, here.effect.reached, here.effect.origin]).toEqual([
          PUBLIC,
          "confirmed",
          url.origin,
        ]);
      } else {
        expect([here.effect.address, here.effect.reached]).toEqual([null, "none"]);
        expect([requests, dialled.length]).toEqual(before);
      }
    });
});

test("a name that turns private between two calls is reached once, where it was judged, and then refused", async () => {
  const plan = httpPlan({ url: "https://rebinding.example/", hosts: ["rebinding.example"] });
  const before = dialled.length;
  const first = await perform(plan);
  expect([first.err, first.effect.address]).toEqual([null, PUBLIC]);
  const second = await perform(plan);
  expect([second.err, second.effect.address, second.effect.reached]).toEqual([
    "address_not_public",
    null,
    "none",
  ]);
  expect(dialled.slice(before)).toEqual([PUBLIC]);
});

test("a redirect to a private address is an answer and leads nowhere", async () => {
  const before = [requests, dialled.length];
  const { err, effect } = await perform(
    httpPlan({ url: `https://${ALLOWED}/moved`, hosts: ["*.0.0.1", ALLOWED] }),
  );
  expect([err, effect.status, effect.reached]).toEqual([null, 307, "confirmed"]);
  expect([requests, dialled.length]).toEqual(before.map((count) => count + 1));
});

test("a relay by CONNECT is refused at the door and by the broker", async () => {
  const plan = httpPlan({ url: `https://${ALLOWED}/`, hosts: [ALLOWED] });
  const before = requests;
  const door = host.door(doorRequest(plan));
  const call = callFor(plan);
  for (const method of ["CONNECT", "TRACE", "connect"])
    expect(await door.call({ ...call, method } as typeof call)).toEqual({
      kind: "http.request",
      err: "differs_from_plan",
    });
  await door.close();
  for (const method of ["CONNECT", "TRACE", "GET / HTTP/1.1\r\nhost: evil\r\n\r\nGET"]) {
    // A plan read back from storage is typed by trust; the broker looks again.
    const { err, effect } = await perform({ ...plan, method } as unknown as HttpPlan);
    expect([err, effect.reached]).toEqual(["operation_not_allowed", "none"]);
  }
  expect(requests).toBe(before);
});
