/** Variables that runtimes and libraries obey change neither where a request goes nor whom the gate trusts. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { httpText } from "../actions/manifests.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { WireAgent } from "../wire-client.ts";
import { localEgress, startUpstream, type Upstream, withUpstream } from "./upstream-server.ts";

let upstream: Upstream;
let stranger: Upstream;
let proxy: Server;
let proxied = 0;
let gate: GateProcess;
let agent: WireAgent;

beforeAll(async () => {
  upstream = await startUpstream();
  stranger = await startUpstream();
  proxy = createServer((socket) => {
    proxied += 1;
    socket.on("error", () => undefined);
    socket.destroy();
  });
  const port = await new Promise<number>((resolve) =>
    proxy.listen(0, "127.0.0.1", () => {
      const address = proxy.address();
      resolve(address === null || typeof address === "string" ? 0 : address.port);
    }),
  );
  const manifest = (id: string, to: Upstream) =>
    httpText({
      id,
      params: { type: "object", required: ["path"], properties: { path: { type: "string" } } },
      http: { method: "POST", url: `https://${to.host}:${to.port}/{path}`, body: { json: { a: 1 } } },
      egress: { hosts: [{ host: to.host, ports: [to.port] }] },
      verify: { kind: "http" },
    });
  const actions = ["known", "unknown", "usual"];
  const setup = withUpstream(upstream, ["known"], {
    policy: openPolicy(undefined, { actions }),
    actions: {
      "known.yaml": manifest("known", upstream),
      "unknown.yaml": manifest("unknown", stranger),
      "usual.yaml": manifest("usual", stranger),
    },
    config: [
      localEgress("unknown", stranger.port, ["POST"]),
      // Without an authority of its own it takes the usual set.
      localEgress("usual", stranger.port, ["POST"]).replace(/^ca_file.*$/m, ""),
    ].join("\n"),
  });
  const away = `http://127.0.0.1:${port}`;
  const proxies = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "GLOBAL_AGENT_HTTP_PROXY"];
  gate = await startGate({
    ...setup,
    files: { ...setup.files, "stranger.pem": stranger.ca },
    // The file is there before the process is, as its path must be known to the shell that starts it.
    wrapper: [
      "/bin/sh",
      "-c",
      'NODE_EXTRA_CA_CERTS="$PWD/stranger.pem" SSL_CERT_FILE="$PWD/stranger.pem" exec "$0" "$@"',
    ],
    env: {
      ...Object.fromEntries(
        proxies.flatMap((name) => [
          [name, away],
          [name.toLowerCase(), away],
        ]),
      ),
      NO_PROXY: "",
      NODE_USE_ENV_PROXY: "1",
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
      NODE_USE_SYSTEM_CA: "1",
    },
  });
  agent = await WireAgent.connect(gate.clientSocket);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await Promise.all([upstream.close(), stranger.close(), new Promise((closed) => proxy.close(closed))]);
});

test("a request goes to its host and to no proxy", async () => {
  const done = await agent.execute("known", { path: "a" });
  expect(done.body).toMatchObject({ status: "executed", dispatched: "yes" });
  expect([upstream.requests.length, proxied]).toEqual([1, 0]);
});

test.each([
  ["an entry with an authority of its own", "unknown"],
  ["the usual set", "usual"],
])("the authority that the environment names is not trusted: %s", async (_what, action) => {
  const done = await agent.execute(action, { path: "a" });
  expect(done.body).toMatchObject({ status: "failed", dispatched: "no", failure: "tls_failed" });
  expect([stranger.requests.length, proxied]).toEqual([0, 0]);
});
