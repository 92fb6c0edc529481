import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HttpPlan } from "../../../src/core/plan.ts";
import { createHost, type Host, HostSetupError, type LocalEgress } from "../../../src/host/index.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { answer, type Origin, startPlainOrigin, startRawOrigin } from "../origin.ts";
import { callFor, doorRequest, httpPlan } from "../plans.ts";

const folder = mkdtempSync(join(tmpdir(), "local-egress-"));
const authority = makeAuthority("vault authority");
const caFile = join(folder, "ca.pem");
writeFileSync(caFile, authority.certificate);
const stops: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
  rmSync(folder, { recursive: true });
});

function entry(changes: Partial<LocalEgress> = {}): LocalEgress {
  return {
    action: "test_action",
    methods: ["GET"],
    pathPrefix: "/vault",
    host: "vault.internal",
    address: "127.0.0.1",
    port: 27_124,
    caFile: null,
    ...changes,
  };
}

describe("an entry is checked at the start", () => {
  const WRONG: readonly (readonly [changes: Partial<LocalEgress>, message: string])[] = [
    [{ action: "" }, "name the action it is for"],
    [{ methods: [] }, "name at least one method"],
    [{ pathPrefix: "vault" }, "the path prefix must start with /"],
    [{ port: 0 }, "the port must be between 1 and 65535"],
    [{ port: 65_536 }, "the port must be between 1 and 65535"],
    [{ host: "Vault.internal" }, "write the host as a lower-case name or address, without port or path"],
    [{ host: "vault.internal:1" }, "write the host as a lower-case name or address, without port or path"],
    [{ host: "" }, "write the host as a lower-case name or address, without port or path"],
    [{ address: "localhost" }, "the address must be an ip literal; no name is resolved for it"],
    [{ address: "fe80::1%eth0" }, "the address must be an ip literal; no name is resolved for it"],
    [{ address: "0.0.0.0" }, "the address must name one machine"],
    [{ address: "::" }, "the address must name one machine"],
    [{ address: "224.0.0.1" }, "the address must name one machine"],
    [{ address: "8.8.8.8" }, "the address is public"],
    [{ caFile: join(folder, "missing.pem") }, "cannot read the ca file"],
    [{ caFile: "/proc/self/status" }, "the ca file holds no pem certificate"],
  ];
  for (const [changes, message] of WRONG)
    test(`${JSON.stringify(changes).slice(0, 60)}: ${message}`, () => {
      const make = () => createHost({ localEgress: [entry(changes)] });
      expect(make).toThrow(HostSetupError);
      expect(make).toThrow(`egress.local entry 1: ${message}`);
    });
});

test("an authority that is no certificate is refused at the start", () => {
  const broken = join(folder, "broken.pem");
  writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  expect(() => createHost({ localEgress: [entry({ caFile: broken })] })).toThrow(HostSetupError);
  expect(() => createHost({ authorities: ["no pem at all"] })).toThrow(HostSetupError);
});

describe("a local target", () => {
  let served = 0;
  async function vault(): Promise<Origin> {
    const identity = issue(authority, { names: ["vault.internal"] });
    const origin = await startRawOrigin(identity, (socket) => {
      served += 1;
      answer(socket, "note");
    });
    stops.push(origin.close);
    return origin;
  }

  function hostFor(
    localEgress: readonly LocalEgress[],
    listeners: () => { address: string; port: number }[],
  ): Host {
    const host = createHost({ localEgress, listeners });
    stops.push(() => host.close());
    return host;
  }

  async function perform(host: Host, plan: HttpPlan, action = "test_action") {
    const door = host.door(doorRequest(plan, { action }));
    const reply = await door.call(callFor(plan));
    await door.close();
    const [effect] = door.effects();
    return { err: "err" in reply ? reply.err : null, effect };
  }

  test("is dialled at its literal address, with the certificate checked against its name", async () => {
    const origin = await vault();
    const host = hostFor([entry({ port: origin.port, caFile })], () => []);
    const url = `https://vault.internal:${origin.port}/vault/note.md`;
    const { err, effect } = await perform(host, httpPlan({ url, hosts: ["vault.internal"] }));
    expect(err).toBeNull();
    expect(effect).toMatchObject({ address: "127.0.0.1", reached: "confirmed", error: null });
  });

  test("is closed to whatever differs from its entry", async () => {
    const origin = await vault();
    const before = served;
    const host = hostFor([entry({ port: origin.port, caFile })], () => []);
    const at = (path: string, name = "vault.internal") => `https://${name}:${origin.port}${path}`;
    const hosts = ["vault.internal", "other.internal"];
    const refused: readonly (readonly [url: string, changes: Partial<HttpPlan>, action?: string])[] = [
      [at("/vault/a"), {}, "other_action"],
      [at("/vault/a"), { method: "DELETE" }],
      [at("/vaulted"), {}],
      [at("/"), {}],
      [at("/vault/..%2fsecret"), {}],
      [at("/vault/%252e%252e/secret"), {}],
      [at("/vault/..;/secret"), {}],
      [at("/vault/%5c..%5csecret"), {}],
      [at("/vault/%zz"), {}],
      [at("/vault/a", "other.internal"), {}],
      [at("/vault/a").replace("https:", "http:"), {}],
    ];
    for (const [url, changes, action] of refused) {
      const outcome = await perform(host, httpPlan({ url, hosts, ...changes }), action);
      expect([url, outcome.err]).toEqual([url, "port_not_allowed"]);
      expect(outcome.effect).toMatchObject({ reached: "none", address: null });
    }
    const unlisted = await perform(host, httpPlan({ url: at("/vault/a"), hosts: ["api.example.com"] }));
    expect(unlisted.err).toBe("host_not_allowed");
    expect(served).toBe(before);
  });

  test("does not lend its warm connection to an action that trusts another authority there", async () => {
    const origin = await vault();
    const strange = join(folder, "strange.pem");
    writeFileSync(strange, makeAuthority("strange").certificate);
    const host = hostFor(
      [
        entry({ port: origin.port, caFile }),
        entry({ port: origin.port, caFile: strange, action: "other_action" }),
      ],
      () => [],
    );
    const plan = httpPlan({ url: `https://vault.internal:${origin.port}/vault`, hosts: ["vault.internal"] });
    expect((await perform(host, plan)).err).toBeNull();
    expect(host.stats().connections.idle).toBe(1);
    expect((await perform(host, plan, "other_action")).err).toBe("tls_failed");
    expect((await perform(host, plan)).err).toBeNull();
    expect(host.stats().connections.reused).toBe(1);
  });

  test("trusts only its own authority", async () => {
    const origin = await vault();
    const other = join(folder, "other.pem");
    writeFileSync(other, makeAuthority("other").certificate);
    const url = `https://vault.internal:${origin.port}/vault`;
    const host = hostFor([entry({ port: origin.port, caFile: other })], () => []);
    expect((await perform(host, httpPlan({ url, hosts: ["vault.internal"] }))).err).toBe("tls_failed");
  });

  test("may be plain http when its entry names no authority", async () => {
    const origin = await startPlainOrigin((socket) => answer(socket, "note"));
    stops.push(origin.close);
    const host = hostFor([entry({ port: origin.port, pathPrefix: "/" })], () => []);
    const url = `http://vault.internal:${origin.port}/any/path`;
    const { effect } = await perform(host, httpPlan({ url, hosts: ["vault.internal"] }));
    expect(effect).toMatchObject({ address: "127.0.0.1", reached: "confirmed" });
  });

  test("is never one of the gate's own listeners, bound to one address or to all", async () => {
    const origin = await vault();
    for (const address of ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"]) {
      const host = hostFor([entry({ port: origin.port, caFile })], () => [{ address, port: origin.port }]);
      const url = `https://vault.internal:${origin.port}/vault`;
      const outcome = await perform(host, httpPlan({ url, hosts: ["vault.internal"] }));
      expect([address, outcome.err, outcome.effect?.reached]).toEqual([address, "host_not_allowed", "none"]);
    }
  });
});
