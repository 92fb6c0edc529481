import { join } from "node:path";
import { sha256Hex } from "../core/bytes.ts";
import { isJsonObject, type Json, JsonError, parseJson } from "../core/json.ts";
import type { Gate } from "./connection.ts";
import { endpointName } from "./endpoint.ts";
import { ensurePrivateDir, readPrivateText, replacePrivateText } from "./state.ts";

export interface Lease {
  readonly token: string;
  readonly sessionId: string;
  /** Thumbprint of the key that it is bound to. */
  readonly jkt: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** A lease is renewed this long before it ends, or half its life before when it lives for less than twice this. */
const MARGIN_MS = 30_000;

export function isFresh(lease: Lease, now: number): boolean {
  const margin = Math.min(MARGIN_MS, (lease.expiresAt - lease.issuedAt) / 2);
  return now < lease.expiresAt - margin;
}

/**
 * Leases and request schemas that processes of one account share, one set per gate. What cannot be read counts as
 * absent, as everything in it can be had again; what others could have written is refused (see `readPrivateText`).
 */
export class LeaseCache {
  private readonly dir: string;
  private readonly name: string;
  private readonly gate: string;

  constructor(stateDir: string, gate: Gate) {
    this.dir = join(stateDir, "leases");
    this.gate = `${endpointName(gate.endpoint)} ${gate.baseUrl}`;
    this.name = sha256Hex(this.gate).slice(0, 32);
  }

  get lockPath(): string {
    return join(this.dir, `${this.name}.lock`);
  }

  ensure(): void {
    ensurePrivateDir(this.dir);
  }

  readLease(): Lease | null {
    const found = this.read(`${this.name}.json`);
    if (!isJsonObject(found)) return null;
    const { gate, token, session_id: sessionId, jkt, issued_at: issuedAt, expires_at: expiresAt } = found;
    if (gate !== this.gate || typeof token !== "string" || typeof sessionId !== "string") return null;
    if (typeof jkt !== "string" || typeof issuedAt !== "number" || typeof expiresAt !== "number") return null;
    return { token, sessionId, jkt, issuedAt, expiresAt };
  }

  writeLease(lease: Lease): void {
    const text = JSON.stringify({
      gate: this.gate,
      token: lease.token,
      session_id: lease.sessionId,
      jkt: lease.jkt,
      issued_at: lease.issuedAt,
      expires_at: lease.expiresAt,
    });
    replacePrivateText(join(this.dir, `${this.name}.json`), text);
  }

  /** The request schema of an action as it was read under this lease; undefined when it was not. */
  readSchema(lease: Lease, action: string): Json | undefined {
    const found = this.read(`${this.name}.${action}.json`);
    if (!isJsonObject(found) || found.session_id !== lease.sessionId) return undefined;
    return found.schema;
  }

  writeSchema(lease: Lease, action: string, schema: Json): void {
    const text = JSON.stringify({ session_id: lease.sessionId, schema });
    replacePrivateText(join(this.dir, `${this.name}.${action}.json`), text);
  }

  private read(file: string): Json | null {
    const text = readPrivateText(join(this.dir, file));
    if (text === null) return null;
    try {
      return parseJson(text);
    } catch (cause) {
      if (cause instanceof JsonError) return null;
      throw cause;
    }
  }
}
