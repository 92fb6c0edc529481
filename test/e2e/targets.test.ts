/**
 * The host that is judged is the host that is asked for. The name server is ours and answers every name with an address
 * that is refused: what it was asked says where a call would have gone, and nothing leaves.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { type DnsServer, NXDOMAIN, SERVFAIL, startDns } from "../host/dns-server.ts";
import { SPECIAL_BLOCKS } from "../host/http/special-blocks.ts";
import { WireAgent, type WireBody, WireOperator } from "../wire-client.ts";
import { UNHURRIED } from "./upstream-server.ts";

const PUBLIC = "93.184.215.14";
/** `b<block>-<edge>-<beside>.blocks.test`: the address of that block, alone or beside a public one. */
const BLOCK_NAME = /^b(\d+)-(first|last)-(alone|beside)\.blocks\.test$/;

let dns: DnsServer;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;

beforeAll(async () => {
  dns = await startDns((name, type) => {
    const [, block, edge, beside] = BLOCK_NAME.exec(name) ?? [];
    if (name === "alias.blocks.test")
      return {
        records: [
          { type: "CNAME", value: "inside.test" },
          ...(type === "A" ? ([{ type, value: "10.0.0.1", name: "inside.test" }] as const) : []),
        ],
      };
    if (name === "nobody.blocks.test") return { records: [], rcode: NXDOMAIN };
    if (name === "broken.blocks.test") return { records: [], rcode: SERVFAIL };
    if (name === "empty.blocks.test") return { records: [] };
    const address = SPECIAL_BLOCKS[Number(block)]?.[edge as "first" | "last"] ?? "10.0.0.1";
    const values = [...(beside === "beside" ? [PUBLIC] : []), address];
    const fits = (value: string) => value.includes(":") === (type === "AAAA");
    return { records: values.filter(fits).map((value) => ({ type, value, ttl: 0 })) };
  });
  const fetch = (id: string, changes: object) =>
    httpText({
      id,
      risk: { level: "low" },
      effects: ["http_read"],
      params: { type: "object", required: ["url"], properties: { url: { type: "string" } } },
      http: { method: "GET", url: "{+url}" },
      verify: { kind: "http" },
      ...changes,
    });
  const auth = [{ secret: "TOKEN", in: "bearer", hosts: ["api.trusted.test"], required: false }];
  const actions = ["reads_trusted", "reads_blocks"];
  gate = await startGate({
    policy: openPolicy(undefined, { actions }),
    config: `${UNHURRIED}\n[egress]\ndns_servers = ["${dns.server}"]`,
    actions: {
      "trusted.yaml": fetch("reads_trusted", { egress: { hosts: ["api.trusted.test"], learn: true }, auth }),
      "blocks.yaml": fetch("reads_blocks", {
        egress: { hosts: ["*.blocks.test"] },
        response: { schema: { type: "object", required: ["never"] } },
      }),
    },
  });
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  dns.close();
});

/** Names that were asked for since, each once. */
function asked(since: number): readonly string[] {
  return [...new Set(dns.questions.slice(since).map((question) => question.split(" ")[0] ?? ""))];
}

async function expectNothingLeft(done: WireBody, failure: string): Promise<void> {
  expect(done).toMatchObject({ status: "failed", dispatched: "no", confirmed: false, failure });
  const receipt = await agent.receipt(done.receipt_id);
  expect(receipt.body).toMatchObject({
    signature_status: "valid",
    effect_evidence: [{ reached: "none", secrets: [], address: null, error: failure }],
  });
}

describe("a url that is read as the trusted host by everybody goes there", () => {
  test.each([
    ["as it is", "https://api.trusted.test/a"],
    ["in upper case", "https://API.TRUSTED.TEST/a"],
    ["scheme and all in upper case", "HTTPS://Api.Trusted.Test/a"],
    ["with a trailing dot", "https://api.trusted.test./a"],
    ["with its port", "https://api.trusted.test:443/a"],
    ["with a port of zeros in front", "https://api.trusted.test:00443/a"],
    ["with an empty port", "https://api.trusted.test:/a"],
    ["with an encoded letter", "https://%61pi.trusted.test/a"],
    ["with an encoded dot", "https://api%2etrusted%2Etest/a"],
    ["in full-width letters", "https://\uff41pi.trusted.test/a"],
    ["in circled letters", "https://\u24d0pi.trusted.test/a"],
    ["with an ideographic full stop", "https://api\u3002trusted.test/a"],
    ["with a soft hyphen, which IDNA drops", "https://api.tru\u00adsted.test/a"],
    ["with an at sign in the path", "https://api.trusted.test/@evil.test"],
    ["with a whole url in the query", "https://api.trusted.test/?u=https://evil.test/"],
    ["with a fragment that names another", "https://api.trusted.test/#@evil.test"],
  ])("%s", async (_what, url) => {
    const since = dns.questions.length;
    const done = await agent.execute("reads_trusted", { url });
    await expectNothingLeft(done.body, "address_not_public");
    expect(asked(since)).toEqual(["api.trusted.test"]);
  });
});

describe("a url that only looks like the trusted host is held for the host that it leads to", () => {
  test.each([
    ["an at sign in the path", "https://EVIL.test/@api.trusted.test", "evil.test"],
    ["an at sign in the query", "https://evil.test/?@api.trusted.test", "evil.test"],
    ["an at sign in the query, no path", "https://evil.test?@api.trusted.test", "evil.test"],
    ["an at sign in the fragment", "https://evil.test/#@api.trusted.test", "evil.test"],
    ["an at sign in the fragment, no path", "https://evil.test#@api.trusted.test", "evil.test"],
    ["a colon and an at sign in the path", "https://evil.test/:443@api.trusted.test/", "evil.test"],
    ["two hosts by a slash", "https://evil.test/api.trusted.test", "evil.test"],
    ["the trusted name in front", "https://api.trusted.test.evil.test/", "api.trusted.test.evil.test"],
    ["the trusted name behind", "https://evilapi.trusted.test/", "evilapi.trusted.test"],
    ["a name below it", "https://x.api.trusted.test/", "x.api.trusted.test"],
    ["the name above it", "https://trusted.test/", "trusted.test"],
    ["an encoded dot", "https://evil.test%2eapi.trusted.test/", "evil.test.api.trusted.test"],
    ["an encoded dot in front", "https://api%2etrusted%2etest.evil.test/", "api.trusted.test.evil.test"],
    ["a full-width dot", "https://api.trusted.test\uff0eevil.test/", "api.trusted.test.evil.test"],
    ["an ideographic full stop", "https://api.trusted.test\u3002evil.test/", "api.trusted.test.evil.test"],
    ["a letter of another script", "https://\u0430pi.trusted.test/", "xn--pi-6kc.trusted.test"],
    ["a dotless letter", "https://ap\u0131.trusted.test/", "xn--ap-ipa.trusted.test"],
    ["an upper-case name of another script", "https://B\u00dcCHER.test/", "xn--bcher-kva.test"],
    ["a port of the trusted host", "https://api.trusted.test:8443/", "api.trusted.test"],
    ["one number for an address", "https://2130706433/", "127.0.0.1"],
    ["hexadecimal for an address", "https://0x7f000001/", "127.0.0.1"],
    ["octal for an address", "https://0177.0.0.01/", "127.0.0.1"],
    ["a short address", "https://127.1/", "127.0.0.1"],
    ["an address in full-width digits", "https://\uff11\uff12\uff17.0.0.1/", "127.0.0.1"],
    ["an address with encoded dots", "https://127%2e0%2e0%2e1/", "127.0.0.1"],
    ["an address with a trailing dot", "https://127.0.0.1./", "127.0.0.1"],
    ["a mapped address", "https://[::ffff:127.0.0.1]/", "::ffff:7f00:1"],
    ["the machine's own name", "https://localhost/", "localhost"],
  ])("%s", async (_what, url, host) => {
    const since = dns.questions.length;
    const held = await agent.execute("reads_trusted", { url });
    expect(held.status).toBe(202);
    const shown = (await operator.call("GET", `/v1/approvals/${held.body.approval_id}`)).body;
    // No credential of the trusted host is planned for it, nor can an approval bring one in.
    expect(shown).toMatchObject({ unresolved_domains: [host], plan: { secrets: [] }, approved_secrets: [] });
    expect(new URL(shown.plan.url).hostname.replace(/^\[|\]$/g, "")).toBe(host);
    expect(asked(since)).toEqual([]);
    const approved = await operator.approve(held.body.approval_id);
    const port = url.endsWith(":8443/");
    await expectNothingLeft(approved.body, port ? "port_not_allowed" : "address_not_public");
    expect(asked(since)).toEqual(port || /^[\d.]+$|:/.test(host) ? [] : [host]);
  });
});

describe("a url that two readers read apart is refused before anybody is asked", () => {
  test.each([
    ["user information", "https://api.trusted.test@evil.test/"],
    ["a user with a password", "https://user:password@api.trusted.test/"],
    ["a user before the trusted host", "https://user@api.trusted.test/"],
    ["an empty user", "https://@api.trusted.test/"],
    ["an empty user and password", "https://:@api.trusted.test/"],
    ["a port that is a password", "https://api.trusted.test:443@evil.test/"],
    ["an encoded slash before an at sign", "https://evil.test%2f@api.trusted.test/"],
    ["a semicolon before an at sign", "https://api.trusted.test;@evil.test/"],
    ["two at signs", "https://a@evil.test@api.trusted.test/"],
    ["an encoded at sign", "https://api.trusted.test%40evil.test/"],
    ["a backslash before an at sign", "https://evil.test\\@api.trusted.test/"],
    ["a backslash for a slash", "https://evil.test\\api.trusted.test/"],
    ["backslashes for both slashes", "https:\\\\api.trusted.test/"],
    ["a tab in the host", "https://api.tru\tsted.test/"],
    ["a tab before the at sign", "https://evil.test/\t@api.trusted.test/"],
    ["a line feed in the host", "https://api.trusted\n.test/"],
    ["a carriage return in the path", "https://api.trusted.test/\r"],
    ["a line break and a header", "https://api.trusted.test/ HTTP/1.1\r\nhost: evil.test\r\n\r\n"],
    ["a blank in front", " https://api.trusted.test/"],
    ["a blank in the host", "https://api.trusted.test evil.test/"],
    ["nul in the host", "https://api.trusted.test\u0000.evil.test/"],
    ["an encoded nul in the host", "https://api.trusted.test%00.evil.test/"],
    ["an encoded slash in the host", "https://api.trusted.test%2fevil.test/"],
    ["an encoded colon in the host", "https://api.trusted.test%3a443.evil.test/"],
    ["an encoded hash in the host", "https://api.trusted.test%23.evil.test/"],
    ["an encoding of an encoding in the host", "https://api.trusted.test%252eevil.test/"],
    ["a full-width slash in the host", "https://api.trusted.test\uff0f.evil.test/"],
    ["a full-width at sign", "https://api.trusted.test\uff20evil.test/"],
    ["a full-width hash", "https://evil.test\uff03@api.trusted.test/"],
    ["account of, which is written with a slash", "https://api.trusted.test\u2100.evil.test/"],
    ["a text-direction override", "https://api.trusted.test/\u202egnp.exe"],
    ["a zero-width blank in the host", "https://api.tru\u200bsted.test/"],
    ["a lone surrogate", "https://api.trusted.test/\ud800"],
    ["one slash", "https:/api.trusted.test/"],
    ["no slash", "https:api.trusted.test/"],
    ["three slashes", "https:///api.trusted.test/"],
    ["no scheme", "//api.trusted.test/"],
    ["plain http", "http://api.trusted.test/"],
    ["plain http to the port of https", "http://api.trusted.test:443/"],
    ["ftp", "ftp://api.trusted.test/"],
    ["a file", "file://api.trusted.test/etc/passwd"],
    ["gopher", "gopher://api.trusted.test:70/_x"],
    ["data", "data:text/plain,x"],
    ["javascript", "javascript://api.trusted.test/%0aalert(1)"],
    ["a view of its source", "view-source:https://api.trusted.test/"],
    ["a blob", "blob:https://api.trusted.test/x"],
    ["two ports", "https://api.trusted.test:443:8443/"],
    ["a port that is no number", "https://api.trusted.test:443x/"],
    ["a port beyond the last", "https://api.trusted.test:65979/"],
    ["port 0", "https://api.trusted.test:0/"],
    ["an empty label", "https://api.trusted.test..evil.test/"],
    ["two trailing dots", "https://api.trusted.test../"],
    ["a leading dot", "https://.api.trusted.test/"],
    ["brackets around a name", "https://[api.trusted.test]/"],
    ["a name behind an address", "https://[::1]api.trusted.test/"],
    ["a zone", "https://[fe80::1%25eth0]/"],
    ["an address of five parts", "https://127.0.0.1.1/"],
    ["an address beyond the last", "https://4294967296/"],
    ["no host", "https://"],
    ["a query for a host", "https://?@api.trusted.test"],
  ])("%s", async (_what, url) => {
    const since = dns.questions.length;
    const pending = (await operator.call("GET", "/v1/approvals")).body.count;
    const refused = await agent.execute("reads_trusted", { url });
    expect([400, 403, 422]).toContain(refused.status);
    expect(refused.body.error).toEqual(expect.any(String));
    expect((await operator.call("GET", "/v1/approvals")).body.count).toBe(pending);
    expect(asked(since)).toEqual([]);
  });
});

describe("a listed name that leads to a special-purpose address gets nothing", () => {
  test.each(SPECIAL_BLOCKS.map(({ block, what }, i) => [`${block} (${what})`, i] as const))(
    "%s",
    async (_block, i) => {
      for (const edge of ["first", "last"])
        for (const beside of ["alone", "beside"]) {
          const name = `b${i}-${edge}-${beside}.blocks.test`;
          const done = await agent.execute("reads_blocks", { url: `https://${name}/` });
          expect([name, done.body.failure]).toEqual([name, "address_not_public"]);
          await expectNothingLeft(done.body, "address_not_public");
        }
    },
  );

  test("an alias that leads inside", async () => {
    const done = await agent.execute("reads_blocks", { url: "https://alias.blocks.test/" });
    await expectNothingLeft(done.body, "address_not_public");
  });
});

test.each(["nobody.blocks.test", "empty.blocks.test", "broken.blocks.test"])(
  "a name without an address fails under its own code, whatever the schema of answers, with a receipt: %s",
  async (name) => {
    const done = await agent.execute("reads_blocks", { url: `https://${name}/` });
    expect([done.status, done.body.error]).toEqual([502, "action_execution_failed"]);
    await expectNothingLeft(done.body, "dns_failed");
  },
);
