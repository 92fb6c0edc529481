/**
 * A client of the REST API, written from the wire's description alone with jose and node:http: it shares no code with
 * the client that ships, so that both can't agree on the same mistake.
 */
import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The parsed body; null when it is empty. */
  readonly body: WireBody;
}

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever a server sent
export type WireBody = any;

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** One request over a Unix socket, on a connection of its own. */
export function send(socketPath: string, wire: WireRequest): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath,
        method: wire.method,
        path: wire.path,
        headers: {
          host: "localhost",
          ...(wire.body === undefined ? {} : { "content-length": Buffer.byteLength(wire.body) }),
          ...wire.headers,
        },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          let body: WireBody = null;
          try {
            body = text === "" ? null : JSON.parse(text);
          } catch {
            body = null;
          }
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(wire.body);
  });
}

/** A P-256 key with its public JWK and thumbprint. */
export interface WireKey {
  readonly key: CryptoKey | KeyObject;
  readonly jwk: JWK;
  readonly jkt: string;
}

export async function freshKey(): Promise<WireKey> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const jwk = { kty, crv, x, y } as JWK;
  return { key: privateKey, jwk, jkt: await calculateJwkThumbprint(jwk) };
}

export async function keyFromPem(path: string): Promise<WireKey> {
  const key = createPrivateKey(readFileSync(path));
  const { kty, crv, x, y } = key.export({ format: "jwk" });
  const jwk = { kty, crv, x, y } as JWK;
  return { key, jwk, jkt: await calculateJwkThumbprint(jwk) };
}

/** What to get wrong in a proof, for tests that attack it. */
export interface ProofChanges {
  readonly htm?: string;
  readonly htu?: string;
  readonly iat?: number;
  readonly jti?: string;
  readonly ath?: string;
  readonly typ?: string;
  readonly jwk?: JWK;
  readonly claims?: Readonly<Record<string, unknown>>;
}

export async function proof(
  { key, jwk }: WireKey,
  token: string,
  method: string,
  path: string,
  changes: ProofChanges = {},
): Promise<string> {
  const ath = createHash("sha256").update(token).digest("base64url");
  return new SignJWT({
    jti: changes.jti ?? crypto.randomUUID(),
    htm: changes.htm ?? method,
    htu: changes.htu ?? `http://localhost:3000${path.split("?")[0]}`,
    iat: changes.iat ?? Math.floor(Date.now() / 1000),
    ath: changes.ath ?? ath,
    ...changes.claims,
  })
    .setProtectedHeader({ alg: "ES256", typ: changes.typ ?? "dpop+jwt", jwk: changes.jwk ?? jwk })
    .sign(key);
}

/** An agent: a key, a lease, and calls with a fresh proof each. */
export class WireAgent {
  readonly socket: string;
  readonly key: WireKey;
  lease = "";
  session = "";

  private constructor(socket: string, key: WireKey) {
    this.socket = socket;
    this.key = key;
  }

  static async connect(
    socket: string,
    options: { readonly maxCalls?: number; readonly key?: WireKey; readonly scopes?: readonly string[] } = {},
  ): Promise<WireAgent> {
    const agent = new WireAgent(socket, options.key ?? (await freshKey()));
    const answer = await agent.requestLease(options);
    if (answer.status !== 200) throw new Error(`no lease: ${answer.status} ${answer.text}`);
    agent.lease = answer.body.lease_jwt;
    agent.session = answer.body.session_id;
    return agent;
  }

  requestLease(
    options: { readonly maxCalls?: number; readonly scopes?: readonly string[] } = {},
  ): Promise<WireAnswer> {
    return send(this.socket, {
      method: "POST",
      path: "/v1/leases",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        scopes: options.scopes ?? ["tools:call"],
        dpop_jwk: this.key.jwk,
        ...(options.maxCalls === undefined ? {} : { budgets: { max_calls: options.maxCalls } }),
      }),
    });
  }

  async call(
    method: string,
    path: string,
    body?: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<WireAnswer> {
    return send(this.socket, {
      method,
      path,
      headers: {
        authorization: `DPoP ${this.lease}`,
        dpop: await proof(this.key, this.lease, method, path),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...more,
      },
      ...(body === undefined ? {} : { body }),
    });
  }

  execute(
    action: string,
    params: unknown = {},
    more: Readonly<Record<string, string>> = {},
  ): Promise<WireAnswer> {
    return this.call("POST", `/v1/actions/${action}/execute`, JSON.stringify(params), more);
  }

  poll(approvalId: string): Promise<WireAnswer> {
    return this.call("GET", `/v1/approvals/${approvalId}/poll`);
  }

  receipt(id: string): Promise<WireAnswer> {
    return this.call("GET", `/v1/receipts/${id}`);
  }
}

/** An operator on the admin socket: its id as token, and its key. */
export class WireOperator {
  readonly socket: string;
  readonly key: WireKey;
  readonly token: string;

  constructor(socket: string, key: WireKey, token = "default") {
    this.socket = socket;
    this.key = key;
    this.token = token;
  }

  static async of(gate: {
    readonly adminSocket: string;
    readonly operatorKey: string;
  }): Promise<WireOperator> {
    return new WireOperator(gate.adminSocket, await keyFromPem(gate.operatorKey));
  }

  async call(method: string, path: string, body?: string): Promise<WireAnswer> {
    return send(this.socket, {
      method,
      path,
      headers: {
        authorization: `DPoP ${this.token}`,
        dpop: await proof(this.key, this.token, method, path),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body }),
    });
  }

  approve(id: string): Promise<WireAnswer> {
    return this.call("POST", `/v1/approvals/${id}/approve`);
  }

  /** A decision with the operator's signed statement on what the gate shows. */
  async decideSigned(id: string, decision: "approve" | "deny"): Promise<WireAnswer> {
    const { to_sign } = (await this.call("GET", `/v1/approvals/${id}`)).body;
    const iat = Math.floor(Date.now() / 1000);
    const claims = { ...to_sign, decision, nonce: crypto.randomUUID(), iat, exp: iat + 60 };
    const statement = await new SignJWT(claims)
      .setProtectedHeader({ alg: "ES256", typ: "latchgate-approval+jws", jwk: this.key.jwk })
      .sign(this.key.key);
    return this.call("POST", `/v1/approvals/${id}/${decision}`, JSON.stringify({ statement }));
  }

  deny(id: string, reason?: string): Promise<WireAnswer> {
    return this.call(
      "POST",
      `/v1/approvals/${id}/deny`,
      reason === undefined ? undefined : JSON.stringify({ reason }),
    );
  }
}
