/**
 * Load generator, a process of its own: `bun test/bench/load.ts <LoadOrder as JSON>`. Takes a lease, warms up, says
 * `ready`, waits for a line on its standard input, then calls in a closed loop on every connection until the time is
 * over. Each request has a fresh proof, signed right before it is sent. One answer that is not a 200 ends it.
 */
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { BenchConnection } from "./connection.ts";

export interface LoadOrder {
  readonly socket: string;
  readonly action: string;
  readonly params: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly warmupMs: number;
  readonly measuredMs: number;
}

export interface LoadResult {
  readonly calls: number;
  readonly seconds: number;
  /** Milliseconds from the first byte out to the last byte in. */
  readonly p50: number;
  readonly p99: number;
}

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const { kty, crv, x, y } = publicKey.export({ format: "jwk" });
const header = encoded({ typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } });

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** RFC 9449 §4.2. */
function proof(path: string, ath: string): string {
  const claims = {
    jti: randomUUID(),
    htm: "POST",
    htu: `http://localhost${path}`,
    iat: Math.floor(Date.now() / 1000),
    ath,
  };
  const input = `${header}.${encoded(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

function post(path: string, body: string, headers: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

async function takeLease(socket: string): Promise<string> {
  const connection = await BenchConnection.open(socket);
  const body = JSON.stringify({ scopes: ["tools:call"], dpop_jwk: { kty, crv, x, y } });
  const answer = await connection.send(post("/v1/leases", body, ""));
  connection.close();
  if (answer.status !== 200) throw new Error(`no lease: ${answer.status} ${answer.body}`);
  const { lease_jwt: lease } = JSON.parse(answer.body) as { readonly lease_jwt: string };
  return lease;
}

async function load(order: LoadOrder): Promise<LoadResult> {
  const lease = await takeLease(order.socket);
  const ath = createHash("sha256").update(lease).digest("base64url");
  const path = `/v1/actions/${order.action}/execute`;
  const body = JSON.stringify(order.params);
  const connections = await Promise.all(
    Array.from({ length: order.connections }, () => BenchConnection.open(order.socket)),
  );

  /** Latencies of the calls that began before `until`. */
  async function loop(connection: BenchConnection, until: number, latencies: number[]): Promise<void> {
    while (performance.now() < until) {
      const request = post(path, body, `authorization: DPoP ${lease}\r\ndpop: ${proof(path, ath)}\r\n`);
      const sent = performance.now();
      const answer = await connection.send(request);
      latencies.push(performance.now() - sent);
      if (answer.status !== 200 || !answer.body.includes('"decision":"executed"'))
        throw new Error(`a call was not executed: ${answer.status} ${answer.body}`);
    }
  }
  const all = (until: number, latencies: number[]) =>
    Promise.all(connections.map((connection) => loop(connection, until, latencies)));

  await all(performance.now() + order.warmupMs, []);
  console.log("ready");
  for await (const _line of console) break;
  const latencies: number[] = [];
  const began = performance.now();
  await all(began + order.measuredMs, latencies);
  const seconds = (performance.now() - began) / 1000;
  for (const connection of connections) connection.close();
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  return { calls: latencies.length, seconds, p50: at(0.5), p99: at(0.99) };
}

if (import.meta.main) {
  const order = JSON.parse(process.argv[2] ?? "") as LoadOrder; // written by the driver beside this file
  console.log(JSON.stringify(await load(order)));
  process.exit(0);
}
