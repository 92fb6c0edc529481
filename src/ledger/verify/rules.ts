import type { RepudiatedRange } from "../../keys/history.ts";
import type { FollowedEntry } from "../entry/followed.ts";
import { countsInside, envelopeOf, isInsideEnvelope } from "./envelope-rules.ts";
import { RecentProofs } from "./recent-proofs.ts";
import type { DamageLog } from "./report.ts";
import { Statements } from "./statements.ts";

type Granted = Extract<FollowedEntry, { readonly type: "call.granted" }>;
type Receipt = Extract<FollowedEntry, { readonly type: "call.receipt" }>;
type Held = Extract<FollowedEntry, { readonly type: "call.held" }>;
type Decided = Extract<FollowedEntry, { readonly type: "approval.decided" }>;

interface OpenHold {
  readonly seq: number;
  readonly call: string;
  readonly quorum: number;
  readonly epoch: number;
  readonly jkt: string;
  readonly approvers: Set<string>;
  readonly expires: string;
}

interface OpenGrant {
  /** Whether the entry that granted it proves nothing. */
  repudiated: boolean;
  readonly seq: number;
  readonly call: CallNames;
  /** Paths are commitments, under the salt of the call: equal paths have equal ones. */
  readonly granted: Granted["granted"];
}

/** What a grant and its receipt say of the call alike. */
type CallNames = Pick<
  Granted,
  "component_digest" | "action_digest" | "action_id" | "trace_id" | "tenant" | "principal" | "session_id"
>;

/**
 * What entries may say after one another: one grant per cause, one receipt per grant and inside it, no grant under a
 * revoked epoch, approved calls only with their quorum of distinct keys. Keeps state for what is open only: a second end of
 * the same finds nothing open and is damage, and ids that come back are found by the table of grants (repeated-grants.ts).
 */
export class LogRules {
  private damage: DamageLog;
  private readonly open = new Map<string, OpenGrant>();
  private readonly holds = new Map<string, OpenHold>();
  private readonly proofs = new RecentProofs();
  readonly statements = new Statements();
  /** The latest time of an entry. Times of entries have one form, so that they compare as texts. */
  private latest = "";
  private epoch = 0;
  /** In force; null before the first, undefined where only repudiated entries tell. */
  private policy: string | null | undefined = null;
  /** What an entry that nobody vouches for may have changed is not known: the next entry that tells it is believed. */
  private epochKnown = true;
  private epochBase = 0;
  private readonly epochs: { readonly seq: number; readonly epoch: number }[] = [];
  grants = 0;
  pruned = 0;
  receipts = 0;

  constructor(damage: DamageLog) {
    this.damage = damage;
  }

  /** From here on, and not for what was taken before. */
  reportTo(damage: DamageLog): void {
    this.damage = damage;
    this.grants = 0;
    this.receipts = 0;
    this.statements.signed = 0;
    this.statements.unsigned = 0;
  }

  /** How much is kept: what is open. */
  get remembered(): number {
    return this.open.size + this.holds.size;
  }

  /** Ids of grants without a receipt, but for those that nobody vouches for. */
  get unresolved(): readonly string[] {
    return [...this.open].flatMap(([id, { repudiated }]) => (repudiated ? [] : [id]));
  }

  /**
   * Takes notice of entries that prove nothing any more. What they opened may still be ended, and need not be; what they said
   * of epoch and policy counts for nothing, nor does anything before them that they may have changed.
   */
  repudiate(ranges: readonly RepudiatedRange[]): void {
    if (ranges.length === 0) return;
    for (const grant of this.open.values())
      grant.repudiated ||= ranges.some(({ from, to }) => from <= grant.seq && grant.seq <= to);
    const stand = this.epochs.findLast(({ seq }) => !ranges.some(({ from, to }) => from <= seq && seq <= to));
    this.epochBase = stand?.epoch ?? 0;
    this.epochKnown = false;
    this.policy = undefined;
  }

  take(entry: FollowedEntry): void {
    if (entry.time > this.latest) this.latest = entry.time;
    switch (entry.type) {
      case "call.held":
        this.held(entry);
        return;
      case "approval.decided":
        this.decided(entry);
        return;
      case "call.granted":
        this.granted(entry);
        return;
      case "call.receipt":
        this.receipt(entry);
        return;
      case "revocation":
        if (!this.inForce(entry.previous_epoch) || entry.epoch !== entry.previous_epoch + 1)
          this.broken(entry, "the revocation does not continue the epochs");
        this.epoch = entry.epoch;
        this.epochs.push({ seq: entry.seq, epoch: entry.epoch });
        return;
      case "operators.loaded":
        this.statements.load(entry);
        return;
      case "policy.changed":
        if (this.policy !== undefined && entry.previous !== this.policy)
          this.broken(entry, "the policy change does not follow the last one");
        this.policy = entry.policy_version;
        return;
      case "lease.issued":
        if (!this.inForce(entry.epoch))
          this.broken(entry, "a lease under another epoch than the one in force");
        return;
      case "payload.pruned":
        this.pruned += entry.payloads;
        return;
      case "log.opened":
        if (entry.seq !== 0) this.broken(entry, "the log is opened twice");
        return;
      default:
        return;
    }
  }

  private broken(entry: FollowedEntry, detail: string): void {
    const trace = "trace_id" in entry ? entry.trace_id : null;
    this.damage.add("rules", entry.seq, detail, trace);
  }

  /** Whether this is the epoch in force. Where that is not known, a later one than the last that was is believed. */
  private inForce(epoch: number): boolean {
    if (!this.epochKnown && epoch >= this.epochBase) {
      this.epoch = epoch;
      this.epochKnown = true;
    }
    return epoch === this.epoch;
  }

  private held(entry: Held): void {
    if (this.holds.has(entry.approval_id)) this.broken(entry, "an approval id is used twice");
    if (!this.inForce(entry.epoch)) this.broken(entry, "a call was held under a revoked epoch");
    this.holds.set(entry.approval_id, {
      seq: entry.seq,
      call: entry.call.commitment,
      quorum: entry.quorum,
      epoch: entry.epoch,
      jkt: entry.jkt,
      approvers: new Set(),
      expires: entry.expires,
    });
  }

  private decided(entry: Decided): void {
    const hold = this.holds.get(entry.approval_id);
    if (hold === undefined) {
      this.broken(entry, "a decision on a call that is not held");
      return;
    }
    if (entry.call.commitment !== hold.call)
      this.broken(entry, "a decision on another call than the one held");
    if (entry.decision === "approve") {
      if (entry.operator === null) {
        this.broken(entry, "an approval by nobody");
        return;
      }
      if (entry.operator.jkt === hold.jkt) this.broken(entry, "the one who asked approved");
      hold.approvers.add(entry.operator.jkt);
      if (hold.approvers.size !== entry.votes) this.broken(entry, "the votes do not add up");
    } else this.holds.delete(entry.approval_id);
    const decider = this.statements.decider(entry);
    if (decider !== null) this.broken(entry, decider);
    const statement = this.statements.take(entry, hold);
    if (statement !== null) this.damage.add("statement", entry.seq, statement, entry.trace_id);
  }

  private granted(entry: Granted): void {
    this.grants++;
    if (this.open.has(entry.grant_id)) this.broken(entry, "a grant id is used twice");
    if (!this.inForce(entry.epoch)) this.broken(entry, "a grant under a revoked epoch");
    this.policy ??= this.policy === undefined ? entry.policy_version : null;
    if (entry.policy_version !== this.policy)
      this.broken(entry, "a grant under another policy than the one in force");
    const { cause } = entry;
    if (cause.kind === "proof") {
      if (cause.proof === null || cause.approval_id !== null || !this.proofs.first(cause.proof, entry.time))
        this.broken(entry, "a proof was granted twice");
    } else this.approved(entry);
    this.open.set(entry.grant_id, {
      repudiated: false,
      seq: entry.seq,
      call: namesOf(entry),
      granted: entry.granted,
    });
  }

  private approved(entry: Granted): void {
    const id = entry.cause.approval_id;
    const hold = id === null ? undefined : this.holds.get(id);
    if (id === null || hold === undefined) {
      this.broken(entry, "a grant without a held call behind it");
      return;
    }
    if (hold.call !== entry.call.commitment)
      this.broken(entry, "the call that ran is not the one that was approved");
    // The gate takes no time for its own that stands before one that the log has seen.
    if (hold.expires <= this.latest) this.broken(entry, "a grant by an approval whose time was over");
    if (hold.approvers.size < hold.quorum) this.broken(entry, "a grant without its quorum of approvers");
    if (
      entry.approvers.length !== hold.approvers.size ||
      !entry.approvers.every((jkt) => hold.approvers.has(jkt))
    )
      this.broken(entry, "the approvers of the grant are not those who approved");
    this.holds.delete(id);
  }

  private receipt(entry: Receipt): void {
    this.receipts++;
    const grant = this.open.get(entry.grant_id);
    if (grant === undefined) {
      this.broken(entry, "a receipt without an open grant");
      return;
    }
    this.open.delete(entry.grant_id);
    const { granted } = grant;
    if (!isSameCall(grant.call, entry)) this.broken(entry, "the receipt is of another call than its grant");
    for (const effect of entry.effects) {
      if (effect.reached === "none") continue;
      if (!isInside(effect, granted)) this.broken(entry, "an effect outside what was granted");
      if (effect.kind === "http" && !effect.secrets.every((secret) => granted.secrets.includes(secret)))
        this.broken(entry, "a credential that was not granted");
    }
    if (!countsInside(entry.effects, granted)) this.broken(entry, "more requests than the envelope has");
    if (!readsBackOwnEffect(entry.effects)) this.broken(entry, "a read-back of no effect of the call");
  }
}

function isInside(effect: Receipt["effects"][number], granted: Granted["granted"]): boolean {
  const envelope = envelopeOf(granted);
  if (envelope !== null) return effect.kind === "http" && isInsideEnvelope(effect, envelope);
  switch (effect.kind) {
    case "http":
      return granted.hosts.includes(hostOf(effect.origin));
    case "fs":
      return granted.paths.includes(effect.path);
    case "database":
    case "mail":
    case "queue":
    case "storage":
      return granted.connections.includes(effect.connection);
  }
}

/** A read-back is a GET of the origin of a request that was answered before it. */
function readsBackOwnEffect(effects: Receipt["effects"]): boolean {
  let origin: string | null = null;
  for (const effect of effects) {
    if (effect.kind !== "http") continue;
    if (effect.purpose === "read_back") {
      if (effect.method !== "GET" || effect.origin !== origin) return false;
    } else if (effect.reached === "confirmed") origin = effect.origin;
  }
  return true;
}

/** Only these, so that nothing else of an entry is kept. */
function namesOf(entry: CallNames): CallNames {
  const { component_digest, action_digest, action_id, trace_id, tenant, principal, session_id } = entry;
  return { component_digest, action_digest, action_id, trace_id, tenant, principal, session_id };
}

function isSameCall(one: CallNames, other: CallNames): boolean {
  return (
    one.component_digest === other.component_digest &&
    one.action_digest === other.action_digest &&
    one.action_id === other.action_id &&
    one.trace_id === other.trace_id &&
    one.tenant === other.tenant &&
    one.principal === other.principal &&
    one.session_id === other.session_id
  );
}

function hostOf(origin: string): string {
  const authority = origin.replace(/^https?:\/\//, "");
  return authority.startsWith("[")
    ? authority.slice(1, authority.indexOf("]"))
    : authority.replace(/:\d+$/, "");
}
