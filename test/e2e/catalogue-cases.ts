/** How each action of the catalogue that brings a credential is called, and how somebody would lure it elsewhere. */
import { join } from "node:path";
import { stringify } from "yaml";
import type { AUTH_PLACES } from "../../src/actions/manifest-schema.ts";
import { POSTGRES_INSTALL, postgresPrograms } from "../postgres.ts";
import { RABBITMQ } from "../rabbitmq.ts";
import { type Arrived, OTHER_HOST, QUEUE, type Upstreams, VALUES } from "./catalogue-upstreams.ts";

export type Params = Readonly<Record<string, unknown>>;

export interface HttpCase {
  readonly secret: string;
  readonly host: string;
  /** @param right origin that the credential is for */
  readonly params: (right: string) => Params;
  /** @param wrong origin that it is not for */
  readonly lures: (right: string, wrong: string) => readonly Params[];
  /** The text in which the credential must stand, as it must stand there. */
  readonly place: (request: Arrived, value: string) => readonly [found: unknown, wanted: string];
}

export interface ConnectionCase {
  readonly secret: keyof typeof VALUES;
  /** The program without which there is no such server here, and how to get it. */
  readonly program: readonly [path: string, install: string] | null;
  readonly params: () => Params;
  readonly lures: readonly Params[];
  /** Logins that the right server has seen so far, as far as it tells. */
  readonly logins?: (upstreams: Upstreams) => readonly unknown[];
  readonly login?: (login: unknown) => void;
}

const bearer: HttpCase["place"] = ({ headers }, value) => [headers.authorization, `Bearer ${value}`];

/** Whatever a URL can be made to look like. */
const urls = (right: string, wrong: string): readonly Params[] => {
  const [inner, outer] = [right.slice("https://".length), wrong.slice("https://".length)];
  return [
    `${wrong}/`,
    `https://${inner}@${outer}/`,
    `https://${inner.split(":")[0]}@${outer}/`,
    `https://${inner}%40${outer}/`,
    `${wrong}/?next=${right}/`,
    `${wrong}\\@${inner}/`,
    `${wrong}#@${inner}/`,
    `https://${inner.split(":")[0]}.${outer}/`,
    `https:${outer}/`,
    `http://${inner}/`,
    `${right}/\r\nhost: ${outer}`,
  ].map((url) => ({ url }));
};

/** By the id of the action; a catalogue that has another one fails its test. */
export const HTTP_CASES: Readonly<Record<string, HttpCase>> = {
  github_create_issue: {
    secret: "GITHUB_TOKEN",
    host: "api.github.com",
    params: () => ({ owner: "o", repo: "r", title: "t" }),
    lures: (_, wrong) => [
      { owner: "o", repo: "..", title: "t" },
      { owner: "o", repo: `@${wrong.slice(8)}`, title: "t" },
      { owner: "o", repo: "r", title: wrong, body: `Location: ${wrong}` },
      { owner: "o", repo: "r", title: "t", url: wrong },
    ],
    place: bearer,
  },
  github_read: {
    secret: "GITHUB_TOKEN",
    host: "api.github.com",
    params: () => ({ path: "repos/o/r" }),
    lures: (_, wrong) => [
      { path: `@${wrong.slice(8)}` },
      { path: wrong },
      { path: `/${wrong.slice(8)}` },
      { path: `..@${wrong.slice(8)}/x` },
      { path: "search", q: `${wrong}/?a=1&b#@${wrong.slice(8)}` },
    ],
    place: bearer,
  },
  slack_post_message: {
    secret: "SLACK_BOT_TOKEN",
    host: "slack.com",
    params: () => ({ channel: "C0123456789", text: "hi" }),
    lures: (_, wrong) => [
      { channel: "C0123456789", text: `<${wrong}|click>` },
      { channel: wrong, text: "hi" },
      { channel: "C0123456789", text: "hi", host: wrong },
    ],
    place: bearer,
  },
  http_bearer_get: {
    secret: "API_BEARER_TOKEN",
    host: "api.example.com",
    params: (right) => ({ url: `${right}/v1` }),
    lures: urls,
    place: bearer,
  },
};

/** Needs no program that a fresh machine may lack. */
const mail: ConnectionCase = {
  secret: "MAIL_PASSWORD",
  program: null,
  params: () => ({ to: ["ann@example.com"], subject: "report", text: "all is well" }),
  lures: [
    { to: [`ann@${OTHER_HOST}`], subject: "report", text: "x" },
    { to: ["ann@example.com"], bcc: [`eve@${OTHER_HOST}`], subject: "report", text: "x" },
    { to: [`ann%${OTHER_HOST}@example.com`], subject: "report", text: `RCPT TO:<eve@${OTHER_HOST}>` },
    { to: [`@${OTHER_HOST}:ann@example.com`], subject: "report", text: "x" },
    { to: ["ann@example.com"], subject: `a\r\nbcc: eve@${OTHER_HOST}`, text: "x" },
  ],
  logins: ({ mail: sink }) => sink.passwords,
  login: (login) => {
    if (login !== VALUES.MAIL_PASSWORD) throw new Error("another password than that of the server");
  },
};

const storage = (params: () => Params): ConnectionCase => ({
  secret: "S3_SECRET",
  program: null,
  params,
  lures: [
    { bucket: OTHER_HOST, key: "agents/a" },
    { bucket: `reports.${OTHER_HOST}`, key: "agents/a" },
    { bucket: "reports", key: `agents/../../${OTHER_HOST}/a` },
    { bucket: "reports", key: `agents/@${OTHER_HOST}/a` },
    { bucket: "reports", key: `//${OTHER_HOST}/agents/a` },
    { bucket: "reports", key: "agents/a", endpoint: OTHER_HOST },
  ].map((lure) => ({ ...params(), ...lure })),
  logins: ({ store }) => store.seen,
  login: (login) => {
    const { headers } = login as Upstreams["store"]["seen"][number];
    if (!/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//.test(headers.authorization ?? ""))
      throw new Error("not signed with the key pair of the store");
  },
});

const database = (params: () => Params, lures: readonly string[]): ConnectionCase => ({
  secret: "DB_PASSWORD",
  program: [join(postgresPrograms() ?? "", "initdb"), POSTGRES_INSTALL],
  params,
  lures: lures.map((statement) => ({ statement })),
});
const REMOTE = [
  "select * from dblink('host=127.0.0.1 dbname=x', 'select 1') as t(a int)",
  "copy orders to program 'curl other.test'",
  "select id from orders; \\connect other",
  "create server other foreign data wrapper postgres_fdw",
];

let orders = 100;
/** By the id of the action, as {@link HTTP_CASES}. */
export const CONNECTION_CASES: Readonly<Record<string, ConnectionCase>> = {
  email_send: mail,
  s3_put: storage(() => ({ bucket: "reports", key: "agents/a", content: "a", mode: "overwrite" })),
  s3_get: storage(() => ({ bucket: "reports", key: "agents/a" })),
  queue_publish: {
    secret: "MQ_PASSWORD",
    program: [RABBITMQ, "apt-get install rabbitmq-server"],
    params: () => ({ routing_key: QUEUE, message: { order: 1 } }),
    lures: [
      { routing_key: `amqp://${OTHER_HOST}`, message: 1 },
      { exchange: `@${OTHER_HOST}`, routing_key: QUEUE, message: 1 },
      { routing_key: QUEUE, message: { redirect: OTHER_HOST }, server: OTHER_HOST },
    ],
  },
  database_query: database(() => ({ statement: "select id from orders where id = 1" }), REMOTE),
  database_execute: database(
    () => ({ statement: "insert into orders values ($1)", parameters: [orders++] }),
    REMOTE,
  ),
};

export const PLACE_HOST = "api.test";
export const PLACE_SECRET = "PLACE_TOKEN";

type Place = (typeof AUTH_PLACES)[number];

/** For each place that a manifest can give a credential: what it says there, and where it must arrive. */
export const PLACES: Readonly<
  Record<Place, { readonly auth: Params; readonly path?: string; readonly at: HttpCase["place"] }>
> = {
  header: {
    auth: { name: "x-api-key", format: "Key {secret}" },
    at: ({ headers }, value) => [headers["x-api-key"], `Key ${value}`],
  },
  bearer: { auth: {}, at: bearer },
  basic: {
    auth: { format: "gate:{secret}" },
    at: ({ headers }, value) => [headers.authorization, `Basic ${btoa(`gate:${value}`)}`],
  },
  query: {
    auth: { name: "key" },
    at: ({ target }, value) => [target.split("?").at(-1), `key=${encodeURIComponent(value)}`],
  },
  path: {
    auth: { name: "token" },
    path: "/{token}/items",
    at: ({ target }, value) => [target.split("/")[1], encodeURIComponent(value)],
  },
  body: {
    auth: { name: "/token" },
    at: ({ body }, value) => [body, JSON.stringify({ token: value })],
  },
};

/** An action for one place, with whatever URL an agent gives: it brings the credential to its host, and goes on without to others. */
export function placeManifest(place: Place, port: number): string {
  const { auth, path } = PLACES[place];
  const right = `https://${PLACE_HOST}:${port}`;
  return stringify({
    apiVersion: "latchgate/v1",
    id: `place_${place}`,
    version: "1.0.0",
    summary: "A credential in one place.",
    risk: { level: "medium", because: "it is a test" },
    effects: ["http_write"],
    provider: "builtin:http_api",
    params: {
      type: "object",
      properties: { url: { type: "string", maxLength: 512 } },
      ...(path === undefined ? { required: ["url"] } : {}),
    },
    http: {
      method: "POST",
      url: path === undefined ? "{+url}" : `${right}${path}{?url}`,
      body: { json: {} },
    },
    egress: { hosts: [{ host: PLACE_HOST, ports: [port] }], ...(path === undefined ? { learn: true } : {}) },
    auth: [{ secret: PLACE_SECRET, in: place, hosts: [PLACE_HOST], required: false, ...auth }],
    verify: { kind: "http" },
    response: { headers: ["x-echo", "location"] },
  });
}

export function placeCase(place: Place): HttpCase {
  return {
    secret: PLACE_SECRET,
    host: PLACE_HOST,
    params: (right) => (PLACES[place].path === undefined ? { url: `${right}/items` } : {}),
    lures: urls,
    place: PLACES[place].at,
  };
}
