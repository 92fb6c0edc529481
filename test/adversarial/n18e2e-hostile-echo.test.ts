/** A server that gives the credential back wherever HTTP has room for it: nothing that the gate shows or keeps has it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { httpText } from "../actions/manifests.ts";
import { answer, type Reply, startUpstream, type Upstream, withUpstream } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const KEY = "key+/0123456789==abcdef";
const JSON_TYPE = "content-type: application/json";

const whole =
  (...lines: string[]): Reply =>
  (socket) =>
    void socket.write(lines.join("\r\n"));
const HOSTILE: Readonly<Record<string, Reply>> = {
  "/status": whole(`HTTP/1.1 200 ${KEY}`, "content-length: 2", JSON_TYPE, "", "{}"),
  "/hints": whole("HTTP/1.1 103 Early", `link: ${KEY}`, "", "HTTP/1.1 200 OK", "content-length: 2", "", "{}"),
  "/trailer": whole(
    "HTTP/1.1 200 OK",
    "transfer-encoding: chunked",
    "trailer: x-echo",
    "",
    "2",
    "{}",
    "0",
    `x-echo: ${KEY}`,
    "",
    "",
  ),
  "/extension": whole(
    "HTTP/1.1 200 OK",
    "transfer-encoding: chunked",
    "",
    `2;a="${KEY}"`,
    "{}",
    `0;b=${KEY}`,
    "",
    "",
  ),
  "/moved": (socket) =>
    answer(socket, 302, "", [`location: https://evil.example/?k=${KEY}`, `x-echo: ${KEY}`]),
  "/cookie": (socket) => answer(socket, 200, "{}", [JSON_TYPE, `set-cookie: k=${KEY}`, `${KEY}: name`]),
  "/half": (socket) => {
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n${JSON_TYPE}\r\n\r\n{"a":"${KEY}`);
  },
  "/bad": whole("HTTP/1.1 200 OK", `content-length: ${KEY}`, "", `${KEY}`),
  "/length": (socket) => answer(socket, 200, `{"a":"${KEY}"}`, [`transfer-encoding: ${KEY}`]),
  "/coding": (socket) => answer(socket, 200, KEY, [`content-encoding: ${KEY}`]),
  "/broken": (socket) => answer(socket, 200, gzipSync(KEY).subarray(0, 20), ["content-encoding: gzip"]),
  "/member": (socket) =>
    answer(socket, 200, JSON.stringify({ [KEY]: [{ [KEY]: KEY }], text: `a${KEY}b` }), [JSON_TYPE]),
  "/error": (socket) =>
    answer(socket, 500, `<h1>${KEY.replaceAll("/", "&#x2F;").replaceAll("=", "&#x3D;")}</h1>`),
  "/switch": whole("HTTP/1.1 101 Switching Protocols", `upgrade: ${KEY}`, "connection: upgrade", "", KEY),
};

let upstream: Upstream;
let gate: GateProcess;

beforeAll(async () => {
  upstream = await startUpstream(HOSTILE);
  const manifest = httpText({
    id: "send",
    risk: { level: "medium" },
    params: { type: "object", required: ["path"], properties: { path: { type: "string" } } },
    http: { method: "POST", url: `${upstream.origin}/{path}`, body: { json: {} } },
    egress: { hosts: [{ host: upstream.host, ports: [upstream.port] }] },
    auth: [{ secret: "API_KEY", in: "bearer", hosts: [upstream.host] }],
    verify: { kind: "http" },
    response: { headers: ["x-echo", "location", "link", "content-type", "content-length"] },
  });
  gate = await startGate(
    withUpstream(upstream, ["send"], {
      policy: openPolicy(undefined, { actions: ["send"] }),
      actions: { "send.yaml": manifest },
    }),
  );
  const options = { cwd: gate.root, env: gate.env };
  expect((await runBinary(["secrets", "init"], options)).code).toBe(0);
  expect((await runBinary(["secrets", "set", "API_KEY"], { ...options, stdin: KEY })).code).toBe(0);
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await upstream.close();
});

/** Forms of which one would be enough. */
const TELLING = [
  KEY,
  encodeURIComponent(KEY),
  btoa(KEY).slice(0, -2),
  Buffer.from(KEY).toString("hex"),
  "&#x2F;0123456789",
];
const tells = (bytes: Buffer | string) => TELLING.filter((form) => Buffer.from(bytes).includes(form));

function* filesBelow(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const stat = statSync(path);
    if (stat.isDirectory()) yield* filesBelow(path);
    else if (stat.isFile()) yield path;
  }
}

test("neither answers, receipts, status, audit nor any file or process of the gate", async () => {
  const agent = await WireAgent.connect(gate.clientSocket);
  const operator = await WireOperator.of(gate);
  for (const path of Object.keys(HOSTILE)) {
    const done = await agent.execute("send", { path: path.slice(1) });
    expect([path, upstream.requests.at(-1)?.target, tells(done.text)]).toEqual([path, path, []]);
    expect([path, done.body.dispatched]).toEqual([path, expect.stringMatching(/^(?:yes|unknown)$/)]);
    const receipt = await agent.receipt(done.body.receipt_id);
    expect([path, tells(receipt.text)]).toEqual([path, []]);
  }
  expect(upstream.requests.map(({ target }) => target)).toEqual(Object.keys(HOSTILE));
  for (const command of [["status"], ["audit"], ["approvals", "list"], ["doctor"]]) {
    const said = await gate.run(...command, "--json");
    expect([command, tells(said.stdout + said.stderr)]).toEqual([command, []]);
  }
  expect((await operator.call("GET", "/v1/audit/verify")).body).toMatchObject({ intact: true });
  expect(tells(gate.stderr())).toEqual([]);
  let files = 0;
  for (const path of filesBelow(gate.root)) {
    expect([path, tells(readFileSync(path))]).toEqual([path, []]);
    files += 1;
  }
  expect(files).toBeGreaterThan(5);
  for (const file of ["environ", "cmdline"])
    expect([file, tells(readFileSync(`/proc/${gate.pid}/${file}`))]).toEqual([file, []]);
  // Soft and hard.
  expect(readFileSync(`/proc/${gate.pid}/limits`, "utf8")).toMatch(/^Max core file size +0 +0 /m);
});
