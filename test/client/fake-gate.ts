import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { dirname } from "node:path";
import {
  calculateJwkThumbprint,
  decodeJwt,
  EmbeddedJWK,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from "jose";
import { sha256, toBase64url } from "../../src/core/bytes.ts";
import type { Json, JsonObject } from "../../src/core/json.ts";

export interface Seen {
  readonly method: string;
  /** With query. */
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** Null for calls without an Authorization header. */
  readonly proof: JsonObject | null;
  readonly token: string | null;
}

export interface Reply {
  readonly status: number;
  readonly body?: Json;
  /** In place of `body`: these bytes, as they are. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Breaks the connection in place of answering. */
  readonly breakOff?: boolean;
}

export type Route = (seen: Seen) => Reply | Promise<Reply>;

/** Approval and receipt ids for tests. */
export const UUID = "0198c3a0-7000-7000-8000-000000000001";
export const OTHER_UUID = "0198c3a0-7000-7000-8000-000000000002";

/**
 * A gate as far as a client can tell: HTTP on a Unix socket, leases signed with ES256, and DPoP proofs that are
 * really checked, by jose and not by the code under test. Routes are given by tests as `METHOD /path`.
 */
export class FakeGate {
  readonly seen: Seen[] = [];
  readonly routes = new Map<string, Route>();
  /** Operator tokens and the thumbprints that they are bound to. */
  readonly operators = new Map<string, string>();
  leaseSeconds = 300;
  baseUrl = "http://localhost:3000";
  private readonly leaseKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
  private readonly refusedLeases = new Set<string>();
  private readonly jtis = new Set<string>();
  private readonly server = createServer((request, response) => void this.serve(request, response));

  constructor() {
    this.routes.set("POST /v1/leases", (seen) => this.issue(seen));
  }

  async listen(where: string | { port: number }): Promise<number> {
    if (typeof where === "string") mkdirSync(dirname(where), { recursive: true });
    await new Promise<void>((done) => {
      if (typeof where === "string") this.server.listen(where, done);
      else this.server.listen(where.port, "127.0.0.1", done);
    });
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  on(route: string, reply: Reply | Route): void {
    this.routes.set(route, typeof reply === "function" ? reply : () => reply);
  }

  /** What came in for a route, oldest first. */
  calls(route: string): Seen[] {
    return this.seen.filter((seen) => `${seen.method} ${seen.target.split("?")[0]}` === route);
  }

  /** From now on every lease so far is refused with 401. */
  refuseLeases(code = "lease_expired"): void {
    for (const seen of this.seen) if (seen.token !== null) this.refusedLeases.add(seen.token);
    this.refusal = code;
  }

  private refusal = "lease_expired";

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const reply = await this.answer(request, Buffer.concat(chunks)).catch(
      (error: Error): Reply => ({ status: 401, body: { error: "invalid_dpop", message: error.message } }),
    );
    if (reply.breakOff === true) {
      request.socket.destroy();
      return;
    }
    const text = reply.raw ?? (reply.body === undefined ? "" : JSON.stringify(reply.body));
    response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
    response.end(text);
  }

  private async answer(request: IncomingMessage, body: Buffer): Promise<Reply> {
    const method = request.method ?? "";
    const target = request.url ?? "";
    const path = target.split("?")[0] ?? "";
    const authorization = request.headers.authorization;
    const token = authorization === undefined ? null : authorization.replace(/^DPoP /, "");
    const proof = token === null ? null : await this.check(request, method, path, token, body);
    const seen: Seen = {
      method,
      target,
      headers: request.headers,
      body: body.toString("utf8"),
      proof,
      token,
    };
    this.seen.push(seen);
    if (token !== null && this.refusedLeases.has(token))
      return { status: 401, body: { error: this.refusal, message: "the lease is over" } };
    const route = this.routes.get(`${method} ${path}`);
    return route === undefined ? { status: 404 } : route(seen);
  }

  /** RFC 9449 §4.3. Throws when anything is wrong. */
  private async check(
    request: IncomingMessage,
    method: string,
    path: string,
    token: string,
    body: Buffer,
  ): Promise<JsonObject> {
    const proof = request.headers.dpop;
    if (typeof proof !== "string") throw new Error("no proof");
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: "dpop+jwt",
      algorithms: ["ES256"],
      maxTokenAge: 60,
      clockTolerance: 5,
    });
    const expect = (name: string, value: unknown) => {
      if (payload[name] !== value) throw new Error(`${name} mismatch`);
    };
    expect("htm", method);
    expect("htu", this.baseUrl + path);
    expect("ath", toBase64url(sha256(token)));
    expect("bh", body.length === 0 ? undefined : toBase64url(sha256(body)));
    const jti = String(payload.jti);
    if (this.jtis.has(jti)) throw new Error("replayed");
    this.jtis.add(jti);
    const jkt = await calculateJwkThumbprint(protectedHeader.jwk as JWK);
    const bound = this.operators.get(token) ?? (await this.leaseThumbprint(token));
    if (bound !== jkt) throw new Error("key binding");
    return payload as JsonObject;
  }

  private async leaseThumbprint(token: string): Promise<string> {
    const { payload } = await jwtVerify(token, this.leaseKey.publicKey, { issuer: "latchgate", typ: "JWT" });
    return (payload as { cnf: { jkt: string } }).cnf.jkt;
  }

  private async issue(seen: Seen): Promise<Reply> {
    const asked = JSON.parse(seen.body) as { dpop_jwk: JWK; scopes: string[] };
    await importJWK(asked.dpop_jwk, "ES256");
    const now = Math.floor(Date.now() / 1000);
    const sessionId = randomUUID();
    const lease = await new SignJWT({
      session_id: sessionId,
      scope: asked.scopes,
      cnf: { jkt: await calculateJwkThumbprint(asked.dpop_jwk) },
    })
      .setProtectedHeader({ alg: "ES256", typ: "JWT" })
      .setIssuer("latchgate")
      .setIssuedAt(now)
      .setExpirationTime(now + this.leaseSeconds)
      .setJti(randomUUID())
      .sign(this.leaseKey.privateKey);
    const expires = decodeJwt(lease).exp ?? 0;
    return {
      status: 200,
      body: {
        lease_jwt: lease,
        session_id: sessionId,
        lease_jti: randomUUID(),
        expires_at: new Date(expires * 1000).toISOString().replace(".000Z", "Z"),
      },
    };
  }
}

/** The answer to a call that was executed. */
export function executed(output: Json, more: JsonObject = {}): Reply {
  return {
    status: 200,
    body: {
      decision: "executed",
      trace_id: OTHER_UUID,
      receipt_id: UUID,
      output,
      verification_outcome: "verified",
      verification: { outcome: "verified", is_fully_successful: true },
      ...more,
    },
  };
}

export const HELD: Reply = {
  status: 202,
  body: { decision: "pending_approval", approval_id: UUID, request_hash: "sha256:00", trace_id: OTHER_UUID },
};
