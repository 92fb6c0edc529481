import type { Clock } from "../core/clock.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { agentKey } from "./agent-key.ts";
import { listOf, type Outcome, objectOf, type PollState, readOutcome, readPoll, textOf } from "./answers.ts";
import {
  type Answer,
  type Call,
  type Credential,
  call,
  callText,
  DISPATCH_TIMEOUT_MS,
  type Gate,
} from "./connection.ts";
import { ClientError, GateError } from "./errors.ts";
import { isFresh, type Lease, LeaseCache } from "./lease-cache.ts";
import { withLock } from "./lock.ts";
import type { SenderKey } from "./proof.ts";
import { orEffectUnknown } from "./uncertain.ts";

export interface AgentOptions {
  readonly gate: Gate;
  /** See `stateDir`. */
  readonly stateDir: string;
  readonly clock: Clock;
  /** Scopes to ask for. */
  readonly scopes?: readonly string[];
}

export interface ExecuteOptions {
  /** 1 to 255 visible ASCII characters. */
  readonly idempotencyKey?: string | undefined;
  /** Asks for decision, reasons and plan, without effect. */
  readonly dryRun?: boolean;
}

const ACTION_ID = /^[A-Za-z0-9_-]{1,128}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;
/** With these the gate refuses the lease itself; it does so before any effect. */
const LEASE_REFUSED: ReadonlySet<string> = new Set(["lease_expired", "invalid_lease", "revoked"]);

/**
 * Speaks to a gate's client socket as an agent. Makes its key and its lease when it needs them, and shares both with
 * other processes of the same account through the state folder.
 */
export class AgentClient {
  private readonly options: AgentOptions;
  private readonly cache: LeaseCache;
  private key: Promise<SenderKey> | null = null;
  private current: Lease | null = null;
  private renewal: Promise<Lease> | null = null;

  constructor(options: AgentOptions) {
    this.options = options;
    this.cache = new LeaseCache(options.stateDir, options.gate);
  }

  /**
   * Runs an action. Throws `GateError` when the gate refuses, `TransportError` when it cannot be reached, and
   * `ClientError` `effect_unknown` when the call was sent and its answer never came or cannot be read.
   */
  async execute(action: string, params: JsonObject, options: ExecuteOptions = {}): Promise<Outcome> {
    const key = options.idempotencyKey;
    if (key !== undefined && !IDEMPOTENCY_KEY.test(key))
      throw new ClientError("bad_request", "an idempotency key is 1 to 255 visible ascii characters");
    const request: Call = {
      method: "POST",
      path: `/v1/actions/${actionSegment(action)}/execute`,
      query: { dry_run: options.dryRun === true ? "1" : undefined },
      headers: key === undefined ? {} : { "idempotency-key": key },
      body: params,
      timeoutMs: DISPATCH_TIMEOUT_MS,
    };
    if (options.dryRun === true) return this.asAgent(request, readOutcome);
    const hint =
      key === undefined
        ? "look for it with latchgate audit before you repeat it; with --idempotency-key repeating is safe"
        : "repeat the command with the same idempotency key: it returns what happened";
    return this.asAgent(request, readOutcome, (send) =>
      orEffectUnknown(send, `the action ${action} may have run`, hint),
    );
  }

  /** Where a held call of this account stands. */
  async poll(approvalId: string): Promise<PollState> {
    return this.asAgent({ method: "GET", path: `/v1/approvals/${uuidSegment(approvalId)}/poll` }, readPoll);
  }

  async receipt(receiptId: string): Promise<JsonObject> {
    return this.asAgent({ method: "GET", path: `/v1/receipts/${uuidSegment(receiptId)}` }, (answer) =>
      objectOf(answer.body),
    );
  }

  /** C2SP tlog-proof of one of this account's own receipts. */
  async proof(receiptId: string): Promise<string> {
    const request: Call = { method: "GET", path: `/v1/receipts/${uuidSegment(receiptId)}/proof` };
    return this.withLease((credential) =>
      callText(this.options.gate, { ...request, credential }, this.options.clock),
    );
  }

  async actions(): Promise<readonly JsonObject[]> {
    return listOf((await this.open({ method: "GET", path: "/v1/actions" })).body, "actions");
  }

  async action(action: string): Promise<JsonObject> {
    return objectOf((await this.open({ method: "GET", path: `/v1/actions/${actionSegment(action)}` })).body);
  }

  /** JSON Schema of an action's parameters; null when the action is unknown or has none. */
  async requestSchema(action: string): Promise<Json> {
    try {
      return (await this.open({ method: "GET", path: `/v1/actions/${actionSegment(action)}/schema/request` }))
        .body;
    } catch (error) {
      if (error instanceof GateError && error.status === 404) return null;
      throw error;
    }
  }

  /** As {@link requestSchema}, read at most once per lease. */
  async cachedSchema(action: string): Promise<Json> {
    actionSegment(action); // becomes part of a file name too
    const lease = await this.lease(null);
    const cached = this.cache.readSchema(lease, action);
    if (cached !== undefined) return cached;
    const schema = await this.requestSchema(action);
    this.cache.writeSchema(lease, action, schema);
    return schema;
  }

  /** Reads an action's schema again, and says whether the remembered one was out of date. */
  async schemaHasChanged(action: string): Promise<boolean> {
    const lease = await this.lease(null);
    const before = this.cache.readSchema(lease, action);
    const schema = await this.requestSchema(action);
    this.cache.writeSchema(lease, action, schema);
    return before !== undefined && JSON.stringify(before) !== JSON.stringify(schema);
  }

  /** `GET /readyz`: its members, and whether the gate calls itself ready or degraded. */
  async ready(): Promise<{ readonly ready: boolean; readonly body: JsonObject }> {
    try {
      return { ready: true, body: objectOf((await this.open({ method: "GET", path: "/readyz" })).body) };
    } catch (error) {
      if (error instanceof GateError && error.status === 503) return { ready: false, body: error.body };
      throw error;
    }
  }

  private open(request: Call): Promise<Answer> {
    return call(this.options.gate, request, this.options.clock);
  }

  /**
   * Calls under a lease; when the gate refuses that lease, once more under a new one.
   * @param around wraps each sending of the request itself, and not the lease that it needs
   */
  private async asAgent<T>(
    request: Call,
    read: (answer: Answer) => T,
    around: (send: () => Promise<T>) => Promise<T> = (send) => send(),
  ): Promise<T> {
    return this.withLease((credential) =>
      around(async () => read(await this.open({ ...request, credential }))),
    );
  }

  private async withLease<T>(use: (credential: Credential) => Promise<T>): Promise<T> {
    const key = await this.senderKey();
    const send = (lease: Lease) => use({ token: lease.token, key });
    const lease = await this.lease(null);
    try {
      return await send(lease);
    } catch (error) {
      if (!(error instanceof GateError) || error.status !== 401 || !LEASE_REFUSED.has(error.code))
        throw error;
      return await send(await this.lease(lease));
    }
  }

  private senderKey(): Promise<SenderKey> {
    this.key ??= agentKey(this.options.stateDir);
    return this.key;
  }

  /** A lease that is good for a while yet, and is not the one that the gate has just refused. */
  private async lease(refused: Lease | null): Promise<Lease> {
    const { jkt } = await this.senderKey();
    const usable = (lease: Lease | null): lease is Lease =>
      lease !== null &&
      lease.jkt === jkt &&
      lease.token !== refused?.token &&
      isFresh(lease, this.options.clock.now());
    if (usable(this.current)) return this.current;
    this.cache.ensure();
    const cached = this.cache.readLease();
    if (usable(cached)) {
      this.current = cached;
      return cached;
    }
    // Calls that run at once in this process share one renewal, as processes do through the lock.
    this.renewal ??= withLock(this.cache.lockPath, async () => {
      const byAnother = this.cache.readLease();
      if (usable(byAnother)) return byAnother;
      const fresh = await this.requestLease();
      this.cache.writeLease(fresh);
      return fresh;
    }).finally(() => {
      this.renewal = null;
    });
    this.current = await this.renewal;
    return this.current;
  }

  private async requestLease(): Promise<Lease> {
    const { jwk, jkt } = await this.senderKey();
    const issuedAt = this.options.clock.now();
    const answer = await this.open({
      method: "POST",
      path: "/v1/leases",
      body: {
        scopes: this.options.scopes ?? ["tools:call"],
        dpop_jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y },
      },
    });
    const body = objectOf(answer.body);
    const expiresAt = Date.parse(textOf(body, "expires_at"));
    if (!Number.isFinite(expiresAt) || expiresAt <= issuedAt)
      throw new ClientError("malformed_answer", "the gate's lease has already ended", {
        hint: "do gate and agent agree on the time?",
      });
    return {
      token: textOf(body, "lease_jwt"),
      sessionId: textOf(body, "session_id"),
      jkt,
      issuedAt,
      expiresAt,
    };
  }
}

/** Throws rather than let a name change the path of a request. */
export function actionSegment(action: string): string {
  if (!ACTION_ID.test(action))
    throw new ClientError(
      "bad_request",
      "an action id has 1 to 128 letters, digits, underscores and hyphens",
      {
        hint: "list them with latchgate actions",
      },
    );
  return action;
}

export function uuidSegment(id: string): string {
  if (!UUID.test(id)) throw new ClientError("bad_request", "an id is a whole lower-case uuid");
  return id;
}
