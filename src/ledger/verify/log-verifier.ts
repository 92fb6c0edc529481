import { fromBase64url } from "../../core/bytes.ts";
import { KeyHistory } from "../../keys/history.ts";
import { fingerprint } from "../../keys/jwk.ts";
import { type Checkpoint, checkpointOrigin, checkpointSignedBy, parseCheckpoint } from "../checkpoint.ts";
import {
  type EntryPayload,
  isFault,
  type PayloadFault,
  type Projection,
  project,
  readPayload,
} from "../entry/entry.ts";
import { leafHash, openJws, verifyJws } from "../entry/jws.ts";
import { applyRevocation, entryKeyAt } from "../key-revocation.ts";
import { applyRotation } from "../key-rotation.ts";
import { CompactTree } from "../tree.ts";
import { EntryTimes } from "./entry-times.ts";
import { DamageLog, type VerifyReport } from "./report.ts";
import { Repudiations } from "./repudiations.ts";
import { LogRules } from "./rules.ts";

/** One stored row as a database gives it. Nothing in it is believed. */
export interface StoredEntry extends Projection {
  readonly seq: number;
  readonly jws: string;
  readonly hash: Uint8Array;
}

export interface StoredCheckpoint {
  readonly size: number;
  readonly root: Uint8Array;
  readonly note: string;
}

export interface Trust {
  /** Thumbprints of evidence keys that the auditor knows from elsewhere; empty when there are none. */
  readonly fingerprints: ReadonlySet<string>;
}

const COLUMNS = [
  "id",
  "type",
  "time_ms",
  "trace_id",
  "tenant",
  "principal",
  "action_id",
  "decision",
] as const;

/**
 * Verifies a log entry by entry, in order, in flat memory but for what is open. A library without I/O: rows come in,
 * a report comes out. An attacker controls every row.
 */
export class LogVerifier {
  private readonly damage = new DamageLog();
  private readonly rules = new LogRules(this.damage);
  private readonly tree = new CompactTree();
  private readonly checkpoints: Map<number, StoredCheckpoint>;
  private readonly signers: string[] = [];
  private readonly repudiations = new Repudiations();
  private history: KeyHistory | null = null;
  private log: string | null = null;
  private head: string | null = null;
  private readonly times = new EntryTimes(this.damage);
  private regressions = 0;
  private checked = 0;
  private unsupported: string | null = null;

  constructor(checkpoints: readonly StoredCheckpoint[]) {
    this.checkpoints = new Map(checkpoints.map((checkpoint) => [checkpoint.size, checkpoint]));
  }

  /** Takes the next row, in the order of `seq`. Gives what it says when that is signed and may be said. */
  take(row: StoredEntry): EntryPayload | null {
    const seq = this.tree.size;
    if (row.seq !== seq) this.damage.add("chain", row.seq, `entry ${seq} is missing or out of order`);
    const leaf = leafHash(row.jws);
    const payload = this.open(row);
    if (payload !== null) this.judge(row, payload);
    if (!leaf.equals(row.hash))
      this.damage.add("projection", row.seq, "the stored hash differs from the entry");
    this.head = leaf.toString("hex");
    this.tree.push(leaf);
    this.checkCheckpoint(row.seq);
    return payload;
  }

  /** The payload when it is signed by a key in force and exactly what an entry may be. */
  private open(row: StoredEntry): EntryPayload | null {
    const opened = openJws(row.jws);
    if (opened === null) {
      this.damage.add("signature", row.seq, "not a signed entry in canonical form", row.trace_id);
      return null;
    }
    const payload = readPayload(opened.payload);
    if (this.history === null) {
      if (isFault(payload)) return this.fault(row, payload);
      this.start(payload);
    }
    // The signature before the form: what nobody signed is damage, whatever version it claims to be of.
    const at = isFault(payload) ? row.seq : payload.seq;
    const key = this.history === null ? null : entryKeyAt(this.history, opened.kid, at, payload);
    if (key === null || !verifyJws(opened, key)) {
      if (key === null)
        this.damage.add("key", row.seq, "signed by a key that is not in force there", row.trace_id);
      else this.damage.add("signature", row.seq, "the signature is not valid", row.trace_id);
      return null;
    }
    if (this.signers.at(-1) !== opened.kid) this.signers.push(opened.kid);
    return isFault(payload) ? this.fault(row, payload) : payload;
  }

  private fault(row: StoredEntry, { kind, detail }: PayloadFault): null {
    if (kind === "unsupported") this.unsupported ??= `entry ${row.seq}: ${detail}`;
    else this.damage.add("entry", row.seq, detail, row.trace_id);
    return null;
  }

  private start(payload: EntryPayload): void {
    if (payload.type !== "log.opened" || payload.seq !== 0) {
      this.damage.add("chain", 0, "the log does not start with its opening");
      return;
    }
    this.log = payload.log;
    this.history = KeyHistory.open(payload.keys);
    if (this.history === null) this.damage.add("key", 0, "an opening key is not admitted");
  }

  private judge(row: StoredEntry, payload: EntryPayload): void {
    const { seq } = row;
    if (payload.seq !== seq) this.damage.add("chain", seq, "the entry says another position", row.trace_id);
    if (payload.prev !== this.head)
      this.damage.add("chain", seq, "the entry does not continue the one before", row.trace_id);
    if (payload.log !== this.log) this.damage.add("chain", seq, "the entry is of another log", row.trace_id);
    const projection = project(payload);
    for (const column of COLUMNS)
      if (row[column] !== projection[column])
        this.damage.add(
          "projection",
          seq,
          `the column ${column} differs from the entry`,
          projection.trace_id,
        );
    if (this.times.take(payload, projection.time_ms)) this.regressions++;
    if (payload.type === "key.rotated" && (this.history === null || !applyRotation(this.history, payload)))
      this.damage.add("key", seq, "the key rotation is not valid");
    if (payload.type === "key.revoked") this.revoke(payload);
    this.rules.take(payload);
  }

  private revoke(payload: Extract<EntryPayload, { readonly type: "key.revoked" }>): void {
    const tree = { size: this.tree.size, root: this.tree.root() };
    // The last signer is the one whose signature under this very entry has just been verified.
    const signer = this.signers.at(-1) ?? "";
    const fault =
      this.history === null ? "unknown keys" : applyRevocation(this.history, signer, payload, tree);
    if (fault !== null) this.damage.add("key", payload.seq, fault);
  }

  private checkCheckpoint(seq: number): void {
    const stored = this.checkpoints.get(this.tree.size);
    if (stored === undefined) return;
    this.checkpoints.delete(this.tree.size);
    this.checked++;
    const root = this.tree.root();
    const parsed = parseCheckpoint(stored.note)?.checkpoint ?? null;
    if (!root.equals(stored.root) || parsed === null || !this.names(parsed, root))
      this.damage.add("checkpoint", seq, "the checkpoint has another root than the entries");
    else if (!this.signedByCheckpointKey(stored.note))
      this.damage.add("signature", seq, "the checkpoint's signature is not valid");
    else this.repudiations.checkpoint(stored.size, this.history?.current("checkpoint").kid ?? "");
  }

  private names(checkpoint: Checkpoint, root: Buffer): boolean {
    return (
      checkpoint.size === this.tree.size &&
      checkpoint.root.equals(root) &&
      checkpoint.origin === checkpointOrigin(this.log ?? "")
    );
  }

  /** By the key in force at that size: a retired one speaks for nothing that came after it. */
  private signedByCheckpointKey(note: string): boolean {
    const key = this.history?.current("checkpoint");
    const publicKey = key === undefined ? null : (this.history?.publicKey(key.kid) ?? null);
    const raw = key === undefined ? null : fromBase64url(key.jwk.x);
    return publicKey !== null && raw !== null && checkpointSignedBy(note, publicKey, raw);
  }

  /** What of the side table `grants` does not follow from the log. */
  sideTable(seq: number | null, detail: string): void {
    this.damage.add("side_table", seq, detail);
  }

  finish(trust: Trust, strict: boolean): VerifyReport {
    for (const size of this.checkpoints.keys())
      this.damage.add(
        "checkpoint",
        null,
        `a checkpoint covers ${size} entries; the log has ${this.tree.size}`,
      );
    if (this.tree.size === 0) this.damage.add("chain", null, "the log is empty");
    const repudiated = this.repudiations.of(this.history, this.tree.size);
    // A key that only a revoked one vouches for is nobody's, even if somebody noted it.
    const trusted = this.signers.some(
      (kid) => trust.fingerprints.has(kid) && !this.repudiations.isTainted(this.history, kid),
    );
    if (trust.fingerprints.size > 0 && !trusted)
      this.damage.add("trust", null, "no trusted key has signed this log");
    const { unresolved } = this.rules;
    if (strict)
      for (const grant of unresolved) this.damage.add("unresolved", null, `grant ${grant} has no receipt`);
    if (strict)
      for (const { from, to, kid } of repudiated.ranges)
        this.damage.add("repudiated", from, `entries ${from} to ${to}: their key ${kid} has been revoked`);
    if (strict)
      for (const size of repudiated.checkpoints)
        this.damage.add("repudiated", null, `the checkpoint of ${size} entries: its key has been revoked`);
    const first = this.signers[0];
    const shown = first === undefined ? null : fingerprint(first);
    const exitCode = this.damage.exitCode || (this.unsupported === null ? 0 : 1);
    const verdict = this.verdict(trusted);
    return {
      verdict,
      summary: this.summary(verdict, shown) + repudiated.remark,
      exit_code: exitCode,
      trusted,
      anchored_to: null,
      log: this.log,
      fingerprint: shown,
      signers: this.signers,
      entries: this.tree.size,
      head: this.head,
      root: this.tree.size === 0 ? null : this.tree.root().toString("hex"),
      first_damage: this.damage.first,
      damage: this.damage.counts,
      checkpoints: this.checked,
      grants: this.rules.grants,
      receipts: this.rules.receipts,
      unresolved: unresolved.slice(0, 100),
      pruned: this.rules.pruned,
      clock_regressions: this.regressions,
      repudiated: repudiated.entries,
      repudiated_ranges: repudiated.ranges,
      repudiated_checkpoints: repudiated.checkpoints,
    };
  }

  private verdict(trusted: boolean): VerifyReport["verdict"] {
    if (this.damage.first !== null) return "damaged";
    if (this.unsupported !== null) return "unsupported";
    return trusted ? "intact" : "consistent";
  }

  private summary(verdict: VerifyReport["verdict"], shown: string | null): string {
    switch (verdict) {
      case "intact":
        return `intact: ${this.tree.size} entries, signed by the trusted key`;
      case "consistent":
        return `consistent, signer not verified, fingerprint ${shown ?? "unknown"}`;
      case "unsupported":
        return `not supported by this version: ${this.unsupported ?? ""}`;
      case "damaged": {
        const first = this.damage.first;
        const others = Object.values(this.damage.counts).reduce((sum, count) => sum + count, 0) - 1;
        const where = first?.seq == null ? "" : ` at entry ${first.seq}`;
        return `damaged: ${first?.kind ?? ""}${where}: ${first?.detail ?? ""}${others > 0 ? `, and ${others} more` : ""}`;
      }
    }
  }
}
