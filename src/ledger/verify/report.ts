import type { RepudiatedRange } from "../../keys/history.ts";

/** Where and how a log is not what it should be. The kind decides the exit code; of several the lowest counts. */
export type DamageKind =
  | "chain"
  | "rules"
  | "statement"
  | "signature"
  | "entry"
  | "key"
  | "checkpoint"
  | "anchor"
  | "trust"
  | "projection"
  | "side_table"
  | "unresolved"
  | "repudiated";

export const EXIT_CODES: Readonly<Record<DamageKind, number>> = {
  // Order and history: links, sequence, and what entries must not say after one another.
  chain: 10,
  rules: 10,
  checkpoint: 10,
  // Who signed what: signatures, keys, the exact form of what was signed.
  signature: 11,
  statement: 11,
  entry: 11,
  key: 11,
  trust: 11,
  // What the auditor knows from elsewhere: a cut tail, a fork, a rollback.
  anchor: 12,
  // What stands beside the log and must follow from it.
  projection: 13,
  side_table: 13,
  // With --strict only.
  unresolved: 14,
  repudiated: 15,
};

export interface Damage {
  readonly kind: DamageKind;
  /** Leaf index; null when it is not about one entry. */
  readonly seq: number | null;
  readonly detail: string;
  readonly trace_id: string | null;
}

/** How far a time-stamp authority that the auditor named has signed. */
export interface TimestampedTo {
  /** Entries that the stamped checkpoint covers. */
  readonly size: number;
  /** RFC 3339: they were there by then, as the authority says. */
  readonly time: string;
  /** Common name in its certificate, which the named certificates vouch for. */
  readonly by: string;
  /** SHA-256 of that certificate. */
  readonly certificate: string;
  /** RFC 3339: when the log recorded the stamp, by the gate's clock. */
  readonly log_time: string;
}

export interface VerifyReport {
  readonly verdict: "intact" | "consistent" | "damaged" | "unsupported";
  /** One line for people. */
  readonly summary: string;
  readonly exit_code: number;
  /** Whether the signer is the one that `--trust` names. */
  readonly trusted: boolean;
  /** Entries that a checkpoint of `--anchor` or `--since`, or every witness and authority that the auditor named, bears out. */
  readonly anchored_to: number | null;
  /** For each authority of `--tsa` that has signed. */
  readonly timestamps: readonly TimestampedTo[];
  /** How many entries before these were not checked, with `--since` or in an export; null when all were. */
  readonly since: number | null;
  readonly log: string | null;
  /** Of the first evidence key: `SHA256:` and its RFC 7638 thumbprint. */
  readonly fingerprint: string | null;
  /** Evidence keys in the order in which they signed. */
  readonly signers: readonly string[];
  readonly entries: number;
  /** Hex leaf hash of the last entry. */
  readonly head: string | null;
  /** Hex RFC 6962 root over all leaf hashes. */
  readonly root: string | null;
  readonly first_damage: Damage | null;
  readonly damage: Readonly<Partial<Record<DamageKind, number>>>;
  readonly checkpoints: number;
  readonly grants: number;
  readonly receipts: number;
  readonly unresolved: readonly string[];
  /** Decisions that an operator's own signature bears out. */
  readonly statements: number;
  /** Decisions of operators without one: only the gate says so. Not damage, since clients may send none. */
  readonly unsigned_decisions: number;
  /** Payloads that the log says were destroyed. */
  readonly pruned: number;
  /** Entries whose time stands before an earlier one's; the log says so itself, or they are damage. */
  readonly clock_regressions: number;
  /** Entries that a key signed which the recovery key has revoked for them. They are not damage: they are nobody's word. */
  readonly repudiated: number;
  readonly repudiated_ranges: readonly RepudiatedRange[];
  /** Sizes of stored checkpoints whose key has been revoked for them. */
  readonly repudiated_checkpoints: readonly number[];
}

/** Where somebody signed something that may not be said: worth nothing as damage where nobody vouches for the signature. */
const SAID: ReadonlySet<DamageKind> = new Set(["rules", "statement"]);

/**
 * Collects damage: the first is named, the rest counted. What entries say against the rules is kept apart until the end,
 * since only a later revocation tells for which entries nobody vouches: those prove nothing, neither for nor against.
 */
export class DamageLog {
  private found: Damage | null = null;
  /** How much of {@link said} came before the first damage of another kind. */
  private saidBefore = 0;
  private readonly others: Partial<Record<DamageKind, number>> = {};
  private said: Damage[] = [];

  add(kind: DamageKind, seq: number | null, detail: string, traceId: string | null = null): void {
    const damage = { kind, seq, detail, trace_id: traceId };
    if (SAID.has(kind)) this.said.push(damage);
    else {
      if (this.found === null) this.saidBefore = this.said.length;
      this.found ??= damage;
      this.others[kind] = (this.others[kind] ?? 0) + 1;
    }
  }

  /** Drops what was said in entries that are repudiated. */
  repudiate(ranges: readonly RepudiatedRange[]): void {
    if (ranges.length === 0) return;
    const stands = ({ seq }: Damage) =>
      seq === null || !ranges.some(({ from, to }) => from <= seq && seq <= to);
    const before = this.said.slice(0, this.saidBefore).filter(stands);
    this.said = [...before, ...this.said.slice(this.saidBefore).filter(stands)];
    this.saidBefore = before.length;
  }

  get first(): Damage | null {
    const [said = null] = this.said;
    return this.found === null || this.saidBefore > 0 ? (said ?? this.found) : this.found;
  }

  get counts(): Readonly<Partial<Record<DamageKind, number>>> {
    const counts = { ...this.others };
    for (const { kind } of this.said) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  get exitCode(): number {
    const codes = Object.keys(this.counts).map((kind) => EXIT_CODES[kind as DamageKind]); // keys are kinds
    return codes.length === 0 ? 0 : Math.min(...codes);
  }
}
