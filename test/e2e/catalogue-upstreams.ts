/** The places that the actions of the catalogue reach, and for each another one that has no business with them. */
import { createServer } from "node:net";
import { connect } from "amqplib";
import { issue, makeAuthority } from "../certificates.ts";
import { startOrigin } from "../host/origin.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../postgres.ts";
import { RABBITMQ, type RabbitMq, startRabbitMq } from "../rabbitmq.ts";
import { type S3Seen, type S3Store, startS3Store } from "../s3-store.ts";
import { type SmtpSink, startSmtpSink } from "../smtp-sink.ts";

export const REGION = "eu-central-1";
export const KEY_ID = "AKIDEXAMPLE";
export const OTHER_KEY_ID = "AKIDOTHER";
export const OTHER_HOST = "other.test";
export const QUEUE = "orders.new";

/** Values that a careless program has to escape somewhere. */
export const VALUES = {
  MAIL_PASSWORD: 'correct horse "battery" 100% staple',
  S3_SECRET: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  MQ_PASSWORD: "correct horse battery",
  DB_PASSWORD: 'clerk\'s "pass" 100% word/+',
  OTHER_MAIL_PASSWORD: "another password of a mail server",
  OTHER_S3_SECRET: "another/secret/key/0123456789abcdefghij0",
  OTHER_MQ_PASSWORD: "another password of a broker",
  OTHER_DB_PASSWORD: "another password of a database",
} as const;

/** A request as it came. */
export interface Arrived {
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Start line, headers and body in one text. */
  readonly text: string;
}

export interface HttpPlace {
  readonly port: number;
  readonly requests: Arrived[];
  /** Where it sends its guests; null to answer with an echo of what came, in several codings. */
  redirect: string | null;
  close(): Promise<void>;
}

/** A port that takes connections, keeps what comes first, and says a word at most. */
export interface Silent {
  readonly port: number;
  readonly received: () => string;
  readonly connections: () => number;
  close(): Promise<void>;
}

export interface Upstreams {
  /** PEM of the authority behind every certificate but the database's. */
  readonly ca: string;
  readonly http: HttpPlace;
  readonly otherHttp: HttpPlace;
  readonly mail: SmtpSink;
  readonly otherMail: SmtpSink;
  readonly store: S3Store;
  readonly otherStore: S3Store;
  /** While it is set, the store sends its guests there. */
  storeRedirect: string | null;
  /** Null without the program. */
  readonly broker: RabbitMq | null;
  readonly otherBroker: Silent;
  readonly database: PostgresServer | null;
  readonly otherDatabase: Silent;
  close(): Promise<void>;
}

/** @param names of the hosts that http actions are bound to */
export async function startUpstreams(names: readonly string[]): Promise<Upstreams> {
  const authority = makeAuthority("catalogue authority");
  const local = issue(authority, { addresses: ["127.0.0.1"] });
  const login = (password: string) => ({ user: "gate", password });
  const closing: (() => Promise<unknown>)[] = [];
  const kept = <T extends { close(): Promise<unknown> }>(one: T): T => {
    closing.push(() => one.close());
    return one;
  };
  const storeOf = async (keyId: string, secret: string, instead?: (seen: S3Seen) => string | null) => {
    const store = kept(
      await startS3Store({
        identity: local,
        keyId,
        secret,
        region: REGION,
        host: "127.0.0.1",
        instead: (seen, response) => {
          const location = instead?.(seen) ?? null;
          if (location !== null) response.writeHead(307, { location, "content-length": "0" }).end();
          return location !== null;
        },
      }),
    );
    const content = Buffer.from("what is there already");
    store.objects.set("reports/agents/a", { content, etag: '"there"', contentType: "text/plain" });
    return store;
  };
  const redirects: { store: string | null } = { store: null };
  const [broker, database] = await Promise.all([
    Bun.which(RABBITMQ) === null ? null : startRabbitMq(local),
    postgresPrograms() === null ? null : startPostgres(),
  ]);
  if (broker !== null) {
    closing.push(() => broker.stop());
    await declareQueue(broker);
  }
  if (database !== null) {
    closing.push(() => database.stop());
    await database.admin(`create role clerk login password '${VALUES.DB_PASSWORD.replaceAll("'", "''")}';
      create table orders (id integer primary key); insert into orders values (1);
      grant select, insert on orders to clerk`);
  }
  return {
    ca: authority.certificate,
    http: kept(await startHttpPlace(issue(authority, { names }))),
    otherHttp: kept(await startHttpPlace(issue(authority, { names: [OTHER_HOST] }))),
    mail: kept(await startSmtpSink({ tls: "starttls", identity: local, login: login(VALUES.MAIL_PASSWORD) })),
    otherMail: kept(
      await startSmtpSink({ tls: "starttls", identity: local, login: login(VALUES.OTHER_MAIL_PASSWORD) }),
    ),
    store: await storeOf(KEY_ID, VALUES.S3_SECRET, () => redirects.store),
    otherStore: await storeOf(OTHER_KEY_ID, VALUES.OTHER_S3_SECRET),
    get storeRedirect() {
      return redirects.store;
    },
    set storeRedirect(location: string | null) {
      redirects.store = location;
    },
    broker,
    otherBroker: kept(await startSilent()),
    database,
    // No TLS here, as PostgreSQL says it.
    otherDatabase: kept(await startSilent("N")),
    close: async () => {
      for (const close of closing.reverse()) await close();
    },
  };
}

/** What is published by its name goes nowhere without it. */
async function declareQueue({ port, user: username, password }: RabbitMq): Promise<void> {
  const model = await connect({ protocol: "amqp", hostname: "127.0.0.1", port, username, password });
  const channel = await model.createChannel();
  await channel.assertQueue(QUEUE, { durable: true });
  await model.close();
}

async function startHttpPlace(identity: ReturnType<typeof issue>): Promise<HttpPlace> {
  const requests: Arrived[] = [];
  const origin = await startOrigin(identity, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const target = request.url ?? "";
    const text = `${request.method} ${target}\n${request.rawHeaders.join("\n")}\n\n${body}`;
    requests.push({ target, headers: request.headers, body, text });
    const bytes = Buffer.from(text);
    const echo = JSON.stringify({
      text,
      hex: bytes.toString("hex"),
      base64: bytes.toString("base64"),
      percent: encodeURIComponent(text),
    });
    const status = place.redirect === null ? 200 : 307;
    const location = place.redirect ?? `/?${encodeURIComponent(request.headers.authorization ?? "")}`;
    response.writeHead(status, {
      location,
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(echo)),
      "x-echo": encodeURIComponent(text).slice(0, 4000),
    });
    response.end(echo);
  });
  const place: HttpPlace = { port: origin.port, requests, redirect: null, close: origin.close };
  return place;
}

async function startSilent(word = ""): Promise<Silent> {
  let received = "";
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      socket.end(word);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    received: () => received,
    connections: () => connections,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}
