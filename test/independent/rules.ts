import type { Any } from "./primitives.ts";

/** What entries may say after one another, as docs/evidence-format.md has it. */
export class Rules {
  readonly grants = new Map<string, { readonly entry: Any; receipt: Any }>();
  receipts = 0;
  private readonly holds = new Map<string, Any>();
  private readonly proofs = new Set<string>();
  private readonly fault: (code: number, what: string) => void;
  private epoch = 0;
  private policy: string | null = null;
  private latest = 0;
  private announced = false;

  constructor(fault: (code: number, what: string) => void) {
    this.fault = fault;
  }

  take(entry: Any): void {
    const rule = (good: boolean, what: string) => good || this.fault(10, `entry ${entry.seq}: ${what}`);
    this.times(entry, rule);
    if (["lease.issued", "call.held", "call.granted"].includes(entry.type))
      rule(entry.epoch === this.epoch, "epoch");
    const hold = this.holds.get(entry.type === "call.granted" ? entry.cause.approval_id : entry.approval_id);
    if (entry.type === "log.opened") rule(entry.seq === 0, "opened twice");
    else if (entry.type === "revocation") {
      rule(entry.previous_epoch === this.epoch && entry.epoch === this.epoch + 1, "epoch");
      this.epoch = entry.epoch;
    } else if (entry.type === "policy.changed") {
      rule(entry.previous === this.policy, "policy");
      this.policy = entry.policy_version;
    } else if (entry.type === "call.held") {
      rule(hold === undefined, "approval id used twice");
      this.holds.set(entry.approval_id, { ...entry, approvers: new Set() });
    } else if (entry.type === "approval.decided") {
      rule(hold?.call.commitment === entry.call.commitment, "decision without its held call");
      if (entry.decision !== "approve") this.holds.delete(entry.approval_id);
      else if (hold !== undefined) {
        rule(entry.operator !== null && entry.operator.jkt !== hold.jkt, "approver");
        rule(hold.approvers.add(entry.operator?.jkt).size === entry.votes, "votes");
      }
    } else if (entry.type === "call.granted") {
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
        rule(same && named && entry.approvers.every((jkt: string) => hold.approvers.has(jkt)), "approval");
        this.holds.delete(approval_id);
      }
      this.proofs.add(proof);
    } else if (entry.type === "call.receipt") {
      this.receipts++;
      const grant = this.grants.get(entry.grant_id);
      if (!grant || grant.receipt) return void rule(false, "a receipt without its open grant");
      grant.receipt = entry;
      for (const name of "component_digest action_digest trace_id tenant principal session_id action_id".split(
        " ",
      ))
        rule(entry[name] === grant.entry[name], `${name} of another call`);
      const { hosts, paths, connections, secrets } = grant.entry.granted;
      for (const { kind, origin, path, connection, reached, secrets: sent = [] } of entry.effects) {
        const known = reached === "none" || sent.every((name: string) => secrets.includes(name));
        rule(known, "credential outside");
        const [granted, wanted] =
          kind === "http"
            ? [hosts, new URL(origin).hostname.replace(/^\[|\]$/g, "")]
            : kind === "fs"
              ? [paths, path]
              : [connections, connection];
        rule(reached === "none" || granted.includes(wanted), "effect outside");
      }
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
