import { verify as checkSignature } from "node:crypto";
import { type Any, decode, importKey, thumbprint } from "./primitives.ts";

/** Whether a request lies in the envelope of its grant, as far as an entry tells it. */
function inEnvelope({ kind, purpose, method, origin, secrets }: Any, envelope: Any): boolean {
  if (kind !== "http" || purpose !== "effect") return false;
  const { protocol, hostname, port, origin: plain } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  const number = Number(port || (protocol === "https:" ? 443 : 80));
  const names = (one: string) => one === host || (one.startsWith("*.") && host.endsWith(one.slice(1)));
  const found = envelope.targets.some(
    (target: Any) =>
      target.hosts.some(names) && target.methods.includes(method) && target.ports.includes(number),
  );
  const own = (name: string) =>
    envelope.secrets.some((one: Any) => one.secret === name && one.origin === origin);
  return (
    found &&
    plain === origin &&
    (protocol === "https:" || envelope.plain.includes(origin)) &&
    secrets.every(own)
  );
}

/** What entries may say after one another, as docs/evidence-format.md has it. */
export class Rules {
  readonly grants = new Map<string, { readonly entry: Any; receipt: Any }>();
  receipts = 0;
  private readonly receiptIds = new Set<string>();
  private readonly holds = new Map<string, Any>();
  /** Proofs and approvals that were granted by: a proof is no UUID. */
  private readonly proofs = new Set<string>();
  private readonly fault: (code: number, what: string, seq: number) => void;
  private epoch = 0;
  /** The lowest that is believed of the next entry that names one; null while the epoch is known. */
  private atLeast: number | null = null;
  private readonly epochs: Any[] = [];
  /** Undefined where only entries tell that are nobody's word. */
  private policy: string | null | undefined = null;
  /** By thumbprint; null before the log has named any. */
  private operators: Map<string, Any> | null = null;
  private latest = 0;
  private last = "";
  private announced = false;

  constructor(fault: (code: number, what: string, seq: number) => void) {
    this.fault = fault;
  }

  /** What entries at these positions said of epoch and policy counts for nothing. */
  forget(covered: (seq: number) => boolean): void {
    this.atLeast = this.epochs.findLast(({ seq }) => !covered(seq))?.epoch ?? 0;
    this.policy = undefined;
  }

  private inForce(epoch: number): boolean {
    if (this.atLeast !== null && epoch >= this.atLeast) [this.epoch, this.atLeast] = [epoch, null];
    return epoch === this.epoch;
  }

  take(entry: Any): void {
    const rule = (good: boolean, what: string) =>
      good || this.fault(10, `entry ${entry.seq}: ${what}`, entry.seq);
    this.times(entry, rule);
    if (entry.time > this.last) this.last = entry.time;
    if (["lease.issued", "call.held", "call.granted"].includes(entry.type))
      rule(this.inForce(entry.epoch), "epoch");
    const hold = this.holds.get(entry.type === "call.granted" ? entry.cause.approval_id : entry.approval_id);
    if (entry.type === "log.opened") rule(entry.seq === 0, "opened twice");
    else if (entry.type === "revocation") {
      rule(this.inForce(entry.previous_epoch) && entry.epoch === entry.previous_epoch + 1, "epoch");
      this.epoch = entry.epoch;
      this.epochs.push(entry);
    } else if (entry.type === "policy.changed") {
      rule(this.policy === undefined || entry.previous === this.policy, "policy");
      this.policy = entry.policy_version;
    } else if (entry.type === "operators.loaded") {
      this.operators = new Map(entry.operators.map((one: Any) => [one.jkt, one]));
    } else if (entry.type === "call.held") {
      rule(hold === undefined, "approval id used twice");
      this.holds.set(entry.approval_id, { ...entry, approvers: new Set() });
    } else if (entry.type === "approval.decided") {
      rule(hold?.call.commitment === entry.call.commitment, "decision without its held call");
      if (hold !== undefined) this.decision(entry, hold, rule);
      if (entry.decision !== "approve") this.holds.delete(entry.approval_id);
      else if (hold !== undefined) {
        rule(entry.operator !== null && entry.operator.jkt !== hold.jkt, "approver");
        rule(hold.approvers.add(entry.operator?.jkt).size === entry.votes, "votes");
      }
    } else if (entry.type === "call.granted") {
      if (this.policy === undefined) this.policy = entry.policy_version;
      rule(
        entry.policy_version === this.policy && !this.grants.has(entry.grant_id),
        "policy, or grant id used twice",
      );
      this.grants.set(entry.grant_id, { entry, receipt: null });
      const { kind, proof, approval_id } = entry.cause;
      if (kind === "proof")
        rule(proof !== null && approval_id === null && !this.proofs.has(proof), "proof granted twice");
      else {
        const same = hold?.call.commitment === entry.call.commitment && hold.approvers.size >= hold.quorum;
        const named = entry.approvers.length === hold?.approvers.size;
        rule(hold?.expires > this.last, "an approval whose time was over");
        rule(!this.proofs.has(approval_id), "an approval used twice");
        rule(same && named && entry.approvers.every((jkt: string) => hold.approvers.has(jkt)), "approval");
        this.holds.delete(approval_id);
      }
      this.proofs.add(proof ?? approval_id);
    } else if (entry.type === "call.receipt") {
      this.receipts++;
      rule(!this.receiptIds.has(entry.receipt_id), "receipt id used twice");
      this.receiptIds.add(entry.receipt_id);
      const grant = this.grants.get(entry.grant_id);
      if (!grant || grant.receipt) return void rule(false, "a receipt without its open grant");
      grant.receipt = entry;
      for (const name of "component_digest action_digest trace_id tenant principal session_id action_id".split(
        " ",
      ))
        rule(entry[name] === grant.entry[name], `${name} of another call`);
      const { hosts, paths, connections, secrets, envelope } = grant.entry.granted;
      let answered: string | null = null;
      const reaching = entry.effects.filter(({ reached }: Any) => reached !== "none");
      rule(!envelope || reaching.length <= envelope.calls, "more requests than the envelope has");
      for (const effect of entry.effects) {
        const { kind, origin, path, connection, reached, purpose, method, secrets: sent = [] } = effect;
        rule(purpose !== "read_back" || (method === "GET" && origin === answered), "read-back of no effect");
        if (purpose === "effect" && reached === "confirmed") answered = origin;
        if (envelope && reached !== "none") {
          rule(inEnvelope(effect, envelope), "effect outside of the envelope");
          continue;
        }
        const known = reached === "none" || sent.every((name: string) => secrets.includes(name));
        rule(known, "credential outside");
        const [granted, wanted] =
          kind === "http"
            ? [hosts, reached === "none" ? "" : new URL(origin).hostname.replace(/^\[|\]$/g, "")]
            : kind === "fs"
              ? [paths, path]
              : [connections, connection];
        rule(reached === "none" || granted.includes(wanted), "effect outside");
      }
    }
  }

  /** Who decided, and the operator's own word on it. */
  private decision(entry: Any, hold: Any, rule: (good: boolean, what: string) => unknown): void {
    const { operator, statement, approval_id, decision, log } = entry;
    const signed = (good: boolean) =>
      good || this.fault(11, `entry ${entry.seq}: the operator's statement`, entry.seq);
    if (operator === null) return void signed(statement === null);
    const known = this.operators?.get(operator.jkt);
    const may = [null, entry.tenant].includes(known?.tenant) && known.id === operator.id;
    const own = decision === "approve" && known?.principals.includes(entry.principal);
    rule(this.operators === null || (may && !own), "an operator who may not decide this");
    if (operator.method !== "signed_statement" || statement === null)
      return void signed(operator.method !== "signed_statement" && statement === null);
    try {
      const [head = "", body = "", mark = "", ...rest] = statement.split(".");
      const header = JSON.parse(`${decode(head, "base64url")}`);
      const claims = JSON.parse(`${decode(body, "base64url")}`);
      const key = importKey(header.jwk);
      const form = Object.keys(header).sort().join() === "alg,jwk,typ" && rest.length === 0;
      signed(form && header.alg === "ES256" && header.typ === "latchgate-approval+jws");
      signed(thumbprint(header.jwk) === operator.jkt && key?.asymmetricKeyType === "ec");
      const signature = { key: key as Any, dsaEncoding: "ieee-p1363" } as const;
      const bytes = decode(mark, "base64url") ?? Buffer.alloc(0);
      signed(checkSignature("sha256", Buffer.from(`${head}.${body}`), signature, bytes));
      signed(claims.approval_id === approval_id && claims.decision === decision);
      const names = Object.keys(claims).sort().join();
      const whole = names === "approval_id,call,decision,exp,iat,log,nonce,seq";
      const here = claims.call === hold.call.commitment && claims.seq === hold.seq && claims.log === log;
      signed(whole ? here : this.operators === null);
    } catch {
      signed(false);
    }
  }

  /** Order is by position; a clock that goes back is said so by `clock.regressed` before anything else is. */
  private times(entry: Any, rule: (good: boolean, what: string) => unknown): void {
    const time = Date.parse(entry.time);
    const told = entry.type === "clock.regressed";
    if (told) {
      const mark = Date.parse(entry.high_water);
      rule(mark > time && mark >= this.latest, "a clock that did not go back");
      this.announced = true;
    }
    if (time < this.latest) {
      rule(this.announced, "the clock went back unsaid");
      return;
    }
    this.latest = time;
    if (!told) this.announced = false;
  }
}
