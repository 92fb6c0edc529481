import type { Clock } from "../core/clock.ts";
import type { JsonObject } from "../core/json.ts";
import { uuidSegment } from "./agent.ts";
import { listOf, type Outcome, objectOf, readOutcome, textOf } from "./answers.ts";
import { type Answer, type Call, call, callText, DISPATCH_TIMEOUT_MS, type Gate } from "./connection.ts";
import { ClientError } from "./errors.ts";
import type { OperatorIdentity } from "./operator-key.ts";
import { approvalStatement } from "./statement.ts";
import { orEffectUnknown } from "./uncertain.ts";

export interface OperatorOptions {
  /** The gate's admin listener. */
  readonly gate: Gate;
  readonly operator: OperatorIdentity;
  readonly clock: Clock;
}

/** Equality filters of the log, `after` and `before` (exclusive, RFC 3339), `limit` (1 to 1000). */
export type AuditFilters = Readonly<
  Partial<
    Record<
      | "action_id"
      | "principal"
      | "decision"
      | "event_type"
      | "trace_id"
      | "session_id"
      | "after"
      | "before"
      | "limit"
      | "unresolved",
      string
    >
  >
>;

/** Speaks to a gate's admin socket as an operator. All methods throw as `call` does. */
export class OperatorClient {
  private readonly options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.options = options;
  }

  /** Any call of the admin API, signed by the operator's key. */
  request(request: Omit<Call, "credential">): Promise<Answer> {
    const { gate, operator, clock } = this.options;
    return call(gate, { ...request, credential: { token: operator.token, key: operator.key } }, clock);
  }

  /** C2SP tlog-proof of any receipt. */
  proof(receiptId: string): Promise<string> {
    const { gate, operator, clock } = this.options;
    const request: Call = {
      method: "GET",
      path: `/v1/receipts/${uuidSegment(receiptId)}/proof`,
      credential: { token: operator.token, key: operator.key },
    };
    return callText(gate, request, clock);
  }

  async status(): Promise<JsonObject> {
    return objectOf((await this.request({ method: "GET", path: "/v1/admin/status" })).body);
  }

  async audit(filters: AuditFilters): Promise<readonly JsonObject[]> {
    return listOf(
      (await this.request({ method: "GET", path: "/v1/audit/events", query: filters })).body,
      "events",
    );
  }

  async approvals(filters: {
    status?: string | undefined;
    limit?: string | undefined;
  }): Promise<readonly JsonObject[]> {
    return listOf(
      (await this.request({ method: "GET", path: "/v1/approvals", query: filters })).body,
      "approvals",
    );
  }

  async approval(id: string): Promise<JsonObject> {
    return objectOf((await this.request({ method: "GET", path: `/v1/approvals/${uuidSegment(id)}` })).body);
  }

  /**
   * Approves what the given detail describes: the commitment to its plan and the entry that has it go into the signed
   * statement, so that the gate can run nothing else under it. Returns when the approved call has run.
   * @param detail as {@link approval} gave it, and as the operator saw it
   */
  async approve(id: string, detail: JsonObject): Promise<Outcome> {
    // Without a plan there is nothing that could be approved.
    textOf(detail, "plan_hash");
    const statement = this.statement(id, detail, "approve");
    const request: Call = {
      method: "POST",
      path: `/v1/approvals/${uuidSegment(id)}/approve`,
      body: { statement },
      timeoutMs: DISPATCH_TIMEOUT_MS,
    };
    return orEffectUnknown(
      async () => readOutcome(await this.request(request)),
      `the approved call ${id} may have run`,
      `look at it with: latchgate approvals show ${id}`,
    );
  }

  /**
   * Refuses a hold. The refusal is signed as an approval is.
   * @param detail as {@link approval} gave it
   */
  async deny(id: string, detail: JsonObject, reason: string | null): Promise<JsonObject> {
    const statement = this.statement(id, detail, "deny");
    const request: Call = {
      method: "POST",
      path: `/v1/approvals/${uuidSegment(id)}/deny`,
      body: { reason, statement },
    };
    return objectOf((await this.request(request)).body);
  }

  private statement(id: string, detail: JsonObject, decision: "approve" | "deny"): string {
    const named = objectOf(detail.to_sign ?? null);
    if (textOf(detail, "approval_id") !== id || textOf(named, "approval_id") !== id)
      throw new ClientError("malformed_answer", "the gate described another approval than the one asked for");
    if (typeof named.seq !== "number")
      throw new ClientError("malformed_answer", "the gate did not say which entry holds the call");
    const claims = {
      approval_id: id,
      call: textOf(named, "call"),
      log: textOf(named, "log"),
      seq: named.seq,
      decision,
    };
    return approvalStatement(this.options.operator.key, claims, this.options.clock.now());
  }

  /** Raises the revocation epoch: leases, holds and grants that were given until now are worth nothing. */
  async revokeAll(): Promise<JsonObject> {
    return objectOf((await this.request({ method: "POST", path: "/v1/admin/revoke-all" })).body);
  }
}
