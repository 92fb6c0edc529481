/**
 * Every action of the catalogue that brings a credential, and every place that a manifest can give one, through the
 * shipped binary: it arrives where it belongs, and in nothing that anybody else gets to see.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parse, stringify } from "yaml";
import { builtinManifests, loadActions } from "../../src/actions/index.ts";
import { AUTH_PLACES, type Manifest } from "../../src/actions/manifest-schema.ts";
import { type GateProcess, runBinary, startGate } from "../gate-process.ts";
import { requireTool } from "../require-tool.ts";
import { WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";
import {
  CONNECTION_CASES,
  HTTP_CASES,
  type HttpCase,
  type Params,
  PLACE_HOST,
  placeCase,
  placeManifest,
} from "./catalogue-cases.ts";
import {
  KEY_ID,
  OTHER_HOST,
  OTHER_KEY_ID,
  REGION,
  startUpstreams,
  type Upstreams,
  VALUES,
} from "./catalogue-upstreams.ts";
import { filesBelow, signingKeys, spellings, tells } from "./credential-search.ts";
import { UNHURRIED } from "./upstream-server.ts";

const CASES: Readonly<Record<string, HttpCase>> = {
  ...HTTP_CASES,
  ...Object.fromEntries(AUTH_PLACES.map((place) => [`place_${place}`, placeCase(place)])),
};
const TOKENS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(CASES).map(({ secret }) => [secret, `${secret.toLowerCase()}/"+=0123456789`]),
);
const SECRETS: Readonly<Record<string, string>> = { ...TOKENS, ...VALUES };
const ME = `uid:${process.getuid?.()}`;
const CONNECTED = Object.keys(CONNECTION_CASES);

let upstreams: Upstreams;
let gate: GateProcess;
let agent: WireAgent;
let operator: WireOperator;
/** Everything that agent or operator was told. */
const told: string[] = [];
const wrong = () => `https://${OTHER_HOST}:${upstreams.otherHttp.port}`;
const right = ({ host }: HttpCase) => `https://${host}:${upstreams.http.port}`;

function shipped(id: string): Manifest & { id: string } {
  const text = builtinManifests().find(({ file }) => file === `builtin/${id}.yaml`)?.text;
  if (text === undefined) throw new Error(`no action ${id}`);
  return parse(text);
}

/** The shipped manifest, but for the port of its host: no account may take 443 on every machine. */
function relocated(id: string): string {
  const { http, egress, response, ...rest } = shipped(id);
  const { port } = upstreams.http;
  return stringify({
    ...rest,
    http: { ...http, url: String(http?.url).replace(/^https:\/\/[^/{]+/, `$&:${port}`) },
    egress: {
      ...egress,
      hosts: egress.hosts.map((entry) =>
        typeof entry === "string" ? { host: entry, ports: [port] } : { ...entry, ports: [port] },
      ),
    },
    response: { headers: [...new Set([...(response?.headers ?? []), "x-echo", "location"])] },
    override: { reason: "the server of this test listens on another port" },
  });
}

/** The same action for the connection `other`. */
function elsewhere(id: string): string {
  const manifest: Record<string, unknown> = { ...shipped(id), id: `${id}_other` };
  for (const section of ["database", "smtp", "queue", "storage"])
    if (manifest[section] !== undefined)
      manifest[section] = { ...(manifest[section] as object), connection: "other" };
  return stringify(manifest);
}

function configuration(): string {
  const local = Object.entries(CASES).flatMap(([action, { host }]) =>
    [
      [host, upstreams.http.port],
      [OTHER_HOST, upstreams.otherHttp.port],
    ].map(
      ([name, port]) => `[[egress.local]]
action = "${action}"
methods = ["GET", "POST"]
path_prefix = "/"
host = "${name}"
address = "127.0.0.1"
port = ${port}
ca_file = "ca.pem"`,
    ),
  );
  const connection = (table: string, name: string, port: number, ...more: string[]) =>
    [`[[connections.${table}]]`, `name = "${name}"`, 'host = "127.0.0.1"', `port = ${port}`, ...more].join(
      "\n",
    );
  const mail = (secret: string) => [
    'user = "gate"',
    'from = "gate@example.com"',
    'domains = ["example.com"]',
    `password_secret = "${secret}"`,
    'ca_file = "ca.pem"',
  ];
  const store = (key: string, secret: string) => [
    `region = "${REGION}"`,
    `access_key_id = "${key}"`,
    `secret_key_secret = "${secret}"`,
    'buckets = ["reports"]',
    'keys = ["agents/**"]',
    'ca_file = "ca.pem"',
  ];
  const broker = (secret: string) => [
    'user = "gate"',
    `password_secret = "${secret}"`,
    'exchanges = [""]',
    'routing_keys = ["orders.*"]',
    'ca_file = "ca.pem"',
  ];
  const database = (secret: string) => [
    'database = "postgres"',
    'user = "clerk"',
    `password_secret = "${secret}"`,
    'tables = ["orders"]',
    'ca_file = "database-ca.pem"',
  ];
  // Where a server is missing, its rows are skipped and nobody listens on the port.
  const closed = 1;
  return [
    UNHURRIED,
    ...local,
    connection("smtp", "main", upstreams.mail.port, ...mail("MAIL_PASSWORD")),
    connection("smtp", "other", upstreams.otherMail.port, ...mail("OTHER_MAIL_PASSWORD")),
    connection("s3", "main", upstreams.store.port, ...store(KEY_ID, "S3_SECRET")),
    connection("s3", "other", upstreams.otherStore.port, ...store(OTHER_KEY_ID, "OTHER_S3_SECRET")),
    connection("amqp", "main", upstreams.broker?.tlsPort ?? closed, ...broker("MQ_PASSWORD")),
    connection("amqp", "other", upstreams.otherBroker.port, ...broker("OTHER_MQ_PASSWORD")),
    connection("database", "main", upstreams.database?.port ?? closed, ...database("DB_PASSWORD")),
    connection("database", "other", upstreams.otherDatabase.port, ...database("OTHER_DB_PASSWORD")),
  ].join("\n");
}

beforeAll(async () => {
  upstreams = await startUpstreams([...new Set(Object.values(CASES).map(({ host }) => host)), PLACE_HOST]);
  const actions = Object.fromEntries([
    ...Object.keys(HTTP_CASES).map((id) => [`${id}.yaml`, relocated(id)]),
    ...AUTH_PLACES.map((place) => [`place_${place}.yaml`, placeManifest(place, upstreams.http.port)]),
    ...CONNECTED.map((id) => [`${id}_other.yaml`, elsewhere(id)]),
  ]);
  const effects = ["http_read", "http_write", "mail_send", "storage_write", "storage_read"];
  const acl = {
    [ME]: {
      allowed_actions: [...Object.keys(CASES), ...CONNECTED.flatMap((id) => [id, `${id}_other`])],
      allowed_sinks: [...effects, "queue_publish", "db_read", "db_write"],
    },
  };
  gate = await startGate({
    policy: { policy_version: "catalogue", acl },
    actions,
    config: configuration(),
    files: {
      ".latchgate/ca.pem": upstreams.ca,
      ".latchgate/database-ca.pem": upstreams.database?.authority.certificate ?? upstreams.ca,
    },
  });
  for (const [words, stdin] of [
    [["secrets", "init"], ""],
    ...Object.entries(SECRETS).map(([name, value]) => [["secrets", "set", name], value] as const),
  ] as const) {
    const { code, stdout, stderr } = await runBinary(words, { cwd: gate.root, env: gate.env, stdin });
    if (code !== 0) throw new Error(stderr);
    told.push(stdout, stderr);
  }
  agent = await WireAgent.connect(gate.clientSocket);
  operator = await WireOperator.of(gate);
}, 120_000);
afterAll(async () => {
  try {
    await gate[Symbol.asyncDispose]();
  } finally {
    // Also when the gate did not start.
    await upstreams.close();
  }
}, 60_000);

/** Asks, approves what is held, and looks at all there is to see of it. */
async function perform(action: string, params: Params): Promise<WireAnswer> {
  let answer = await agent.execute(action, params);
  told.push(answer.text);
  if (answer.status === 202) {
    const id = answer.body.approval_id;
    told.push((await operator.call("GET", `/v1/approvals/${id}`)).text);
    answer = await operator.approve(id);
    told.push(answer.text, (await agent.poll(id)).text);
  }
  if (answer.body?.receipt_id !== undefined) told.push((await agent.receipt(answer.body.receipt_id)).text);
  return answer;
}

const spelled = (name: string) => spellings(SECRETS[name] ?? "");
const toldOfHttp = (place: Upstreams["http"]) => place.requests.map(({ text }) => text).join("\n");

test("each action of the catalogue that brings a credential has its row here", async () => {
  const { registry } = await loadActions({ builtins: builtinManifests(), directories: [] });
  const bring = registry
    .list()
    .filter(({ secrets, connection }) => secrets.length > 0 || connection !== null)
    .map(({ id }) => id);
  expect([...Object.keys(HTTP_CASES), ...CONNECTED].sort()).toEqual(bring.sort());
});

describe.each(Object.entries(CASES))("%s", (id, one) => {
  const value = SECRETS[one.secret] ?? "";

  test("brings its credential to its place, and to no other in the request", async () => {
    const { requests } = upstreams.http;
    const before = requests.length;
    const done = await perform(id, one.params(right(one)));
    expect(done.body).toMatchObject({ dispatched: "yes" });
    const [request, ...more] = requests.slice(before);
    if (request === undefined) throw new Error("nothing arrived");
    const [found, wanted] = one.place(request, value);
    expect([found, more]).toEqual([wanted, []]);
    expect(request.headers.host).toBe(`${one.host}:${upstreams.http.port}`);
    expect(tells(request.text.replace(wanted, ""), spelled(one.secret))).toEqual([]);
    // The search is one that finds it, there.
    expect(tells(request.text, spelled(one.secret))).not.toEqual([]);
    expect(done.text).toContain("[redacted]");
  });

  test("is not lured by a redirect", async () => {
    const before = upstreams.otherHttp.requests.length;
    upstreams.http.redirect = `${wrong()}/`;
    const done = await perform(id, one.params(right(one)));
    upstreams.http.redirect = null;
    expect(done.body).toMatchObject({ dispatched: "yes" });
    expect(upstreams.otherHttp.requests.length).toBe(before);
  });

  test("is not lured by parameters", async () => {
    const lures = one.lures(right(one), wrong());
    expect(lures.length).toBeGreaterThan(2);
    for (const lure of lures) {
      const before = upstreams.otherHttp.requests.length;
      await perform(id, lure);
      for (const request of upstreams.otherHttp.requests.slice(before))
        expect([lure, tells(request.text, spelled(one.secret))]).toEqual([lure, []]);
    }
  });
});

test("the other host is one that actions reach, without a credential", async () => {
  const { requests } = upstreams.otherHttp;
  const before = requests.length;
  const done = await perform("place_header", { url: `${wrong()}/` });
  expect(done.body).toMatchObject({ status: "executed" });
  expect(requests.slice(before).map(({ headers }) => headers.host)).toEqual([wrong().slice(8)]);
});

const counts = () => ({
  mail: upstreams.otherMail.connections,
  store: upstreams.otherStore.seen.length,
  broker: upstreams.otherBroker.connections(),
  database: upstreams.otherDatabase.connections(),
});

describe.each(Object.entries(CONNECTION_CASES))("%s", (id, one) => {
  const row = one.program === null ? test : requireTool(...one.program);

  row("logs in at its server, with its own credential", async () => {
    const before = one.logins?.(upstreams).length ?? 0;
    const done = await perform(id, one.params());
    expect(done.body).toMatchObject({ status: "executed", verification: { outcome: "verified" } });
    const logins = one.logins?.(upstreams).slice(before) ?? [];
    expect(logins.length).toBe(one.logins === undefined ? 0 : 1);
    for (const login of logins) one.login?.(login);
  });

  row("is not lured to another one", async () => {
    const before = counts();
    upstreams.storeRedirect = `https://127.0.0.1:${upstreams.otherStore.port}/reports/agents/a`;
    const moved = await perform(id, one.params());
    upstreams.storeRedirect = null;
    if (one.secret === "S3_SECRET") expect(moved.text).toContain("storage_refused");
    const somewhere = { connection: "other", host: OTHER_HOST };
    for (const lure of [...one.lures, { ...one.params(), ...somewhere }]) await perform(id, lure);
    expect(counts()).toEqual(before);
  });

  row("reaches that one only where a manifest says so, with the credential of that one", async () => {
    const before = counts();
    const done = await perform(`${id}_other`, one.params());
    expect(counts()).not.toEqual(before);
    if (one.secret === "MAIL_PASSWORD") expect(done.body).toMatchObject({ status: "executed" });
  });
});

test("no credential is in what anybody else got: other hosts, agent, operator, files, stderr", async () => {
  for (const [id, one] of Object.entries(CASES)) await perform(id, one.params(right(one)));
  for (const [id, { program, params }] of Object.entries(CONNECTION_CASES))
    if (program === null || Bun.which(program[0]) !== null)
      for (const action of [id, `${id}_other`]) await perform(action, params());
  const { mail, otherMail, store, otherStore } = upstreams;
  const mails = (sink: Upstreams["mail"]) =>
    [...sink.passwords, ...sink.mails.map(({ raw }) => raw.toString("latin1"))].join("\n");
  const objects = (place: Upstreams["store"]) =>
    place.seen
      .map((one) => `${JSON.stringify(one.headers)} ${one.path} ${one.body.toString("latin1")}`)
      .join("\n");
  told.push((await operator.call("GET", "/v1/audit/verify")).text);
  expect(await gate.stop()).toBe(0);
  const files = filesBelow(gate.root);
  expect(files.length).toBeGreaterThan(6);
  const seen: readonly (readonly [who: string, what: string | Buffer])[] = [
    ["http", toldOfHttp(upstreams.http)],
    ["other http", toldOfHttp(upstreams.otherHttp)],
    ["mail", mails(mail)],
    ["other mail", mails(otherMail)],
    ["store", objects(store)],
    ["other store", objects(otherStore)],
    ["other broker", upstreams.otherBroker.received()],
    ["other database", upstreams.otherDatabase.received()],
    ["agent and operator", told.join("\n")],
    ["stderr", gate.stderr()],
    ...files,
  ];
  /** Who has the value by right; a key pair's secret half and what a server checks by SCRAM, nobody. */
  const homes: Readonly<Record<string, string>> = {
    ...Object.fromEntries(Object.keys(TOKENS).map((name) => [name, "http"])),
    MAIL_PASSWORD: "mail",
    OTHER_MAIL_PASSWORD: "other mail",
  };
  for (const name of Object.keys(SECRETS))
    for (const [who, what] of seen)
      expect([name, who, tells(what, spelled(name)).length > 0]).toEqual([name, who, who === homes[name]]);
  for (const [place, secret] of [
    [store, VALUES.S3_SECRET],
    [otherStore, VALUES.OTHER_S3_SECRET],
  ] as const) {
    const signatures = place.seen.map(({ headers }) => headers.authorization?.split("Signature=")[1] ?? "");
    const days = new Set(place.seen.map(({ headers }) => headers["x-amz-date"]?.slice(0, 8) ?? ""));
    expect([signatures.length > 1, signatures.every((one) => /^[0-9a-f]{64}$/.test(one))]).toEqual([
      true,
      true,
    ]);
    const own = place === store ? "store" : "other store";
    for (const [who, what] of seen) {
      expect([who, tells(what, signatures).length > 0]).toEqual([who, who === own]);
      for (const day of days) expect([who, tells(what, signingKeys(secret, day, REGION))]).toEqual([who, []]);
    }
  }
});
