/** No block of the special-purpose registries is dialled: by its literal, by a name, beside a public answer, by a proxy. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import { parseTargetUrl } from "../../../src/core/url.ts";
import { createHost, type Host, type HostOptions } from "../../../src/host/index.ts";
import { type Origin, startPlainOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";
import { SPECIAL_BLOCKS } from "./special-blocks.ts";

const PUBLIC = "93.184.215.14";
const hosts: Host[] = [];
let proxy: Origin;
let dialled: string[] = [];
let answers: readonly string[] = [];
let direct: Host;
let proxied: Host;

function hostFor(options: HostOptions = {}): Host {
  const host = createHost({
    ...options,
    testing: {
      // Each name is asked for once: its pin would answer for the next one.
      resolve: async () => answers.map((address) => ({ address, ttl: 0 })),
      dial: (address) => {
        dialled.push(address);
        return { address: "127.0.0.1", port: proxy.port };
      },
    },
  });
  hosts.push(host);
  return host;
}

beforeAll(async () => {
  // As a proxy and as an origin it hangs up on whoever comes.
  proxy = await startPlainOrigin((socket) => socket.destroy());
  direct = hostFor();
  proxied = hostFor({ proxy: { url: `http://127.0.0.1:${proxy.port}`, secret: null } });
});
afterAll(async () => {
  for (const host of hosts) await host.close();
  await proxy.close();
});

async function errorOf(host: Host, url: string): Promise<unknown> {
  const parsed = parseTargetUrl(url);
  const plan = httpPlan({ url: parsed.href, hosts: [parsed.host] });
  const door = host.door(doorRequest(plan));
  await door.call(callFor(plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "http") throw new Error("no http effect");
  return [effect.error, effect.reached, effect.address];
}

const REFUSED = ["address_not_public", "none", null];

describe.each(SPECIAL_BLOCKS.map((block) => [`${block.block} (${block.what})`, block] as const))(
  "%s",
  (_name, { first, last }) => {
    test.each([
      ["its first address", first],
      ["its last address", last],
    ])("%s", async (_edge, address) => {
      dialled = [];
      const connections = proxy.connections();
      const literal = isIP(address) === 6 ? `[${address}]` : address;
      for (const [host, scheme] of [
        [direct, "https"],
        [direct, "http"],
        [proxied, "https"],
        [proxied, "http"],
      ] as const) {
        expect(await errorOf(host, `${scheme}://${literal}/`)).toEqual(REFUSED);
        for (const given of [[address], [PUBLIC, address], [address, PUBLIC], [PUBLIC, PUBLIC, address]]) {
          answers = given;
          expect([given, await errorOf(host, `${scheme}://name.example/`)]).toEqual([given, REFUSED]);
        }
      }
      expect([dialled, proxy.connections()]).toEqual([[], connections]);
    });
  },
);

test("a public address by the same ways is dialled, and the proxy is asked", async () => {
  dialled = [];
  const connections = proxy.connections();
  answers = [PUBLIC];
  for (const url of [`https://${PUBLIC}/`, "https://name.example/"]) {
    expect(await errorOf(direct, url)).toEqual(["tls_failed", "none", PUBLIC]);
    expect(await errorOf(proxied, url)).toEqual(["proxy_refused", "none", PUBLIC]);
  }
  expect([dialled.length > 0, proxy.connections()]).toEqual([true, connections + 4]);
});
