import { fromBase64url } from "../../core/bytes.ts";
import { KeyHistory } from "../../keys/history.ts";
import { type Ed25519Jwk, fingerprint } from "../../keys/jwk.ts";
import { type Checkpoint, checkpointOrigin, checkpointSignedBy, parseCheckpoint } from "../checkpoint.ts";
import {
  type EntryPayload,
  isFault,
  type PayloadFault,
  type Projection,
  project,
  readPayload,
} from "../entry/entry.ts";
import { leafHash, openCheckedJws, openJws, verifyJws } from "../entry/jws.ts";
import { applyRevocation, entryKeyAt } from "../key-revocation.ts";
import { applyRotation } from "../key-rotation.ts";
import { CompactTree } from "../tree.ts";
import { type AnchorParties, AnchorRules } from "./anchored-entries.ts";
import { type Anchor, AnchorCheck } from "./anchors.ts";
import { EntryTimes } from "./entry-times.ts";
import { DamageLog, type VerifyReport } from "./report.ts";
import { Repudiations } from "./repudiations.ts";
import { LogRules } from "./rules.ts";
import type { Vouched } from "./vouch.ts";

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
  /** The keys themselves, when a JWK set gave them. */
  readonly keys?: readonly TrustedKey[];
}

export interface TrustedKey {
  readonly kid: string;
  readonly jwk: Ed25519Jwk;
  /** `latchgate:purpose` of the key set; null when it does not say. */
  readonly purpose: string | null;
}

/** Where to begin when the entries before are not at hand, or are taken on the word of a checkpoint. */
export interface LogStart {
  readonly log: string;
  readonly tree: CompactTree;
  /** Hex leaf hash of the last entry before. */
  readonly head: string;
  readonly history: KeyHistory;
  /** What is open there; null when it is not known, and then nothing is said of what entries may say in turn. */
  readonly rules: LogRules | null;
  /** Roots at smaller sizes, as far as anchors ask for them; none when the entries before are not at hand. */
  readonly roots: ReadonlyMap<number, Buffer>;
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
  private readonly rules: LogRules;
  private readonly witnessed: AnchorRules;
  private readonly tree: CompactTree;
  private readonly begin: LogStart | null;
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
  private readonly anchors: AnchorCheck;
  private readonly startSize: number;

  /** @param parties those whose signatures over checkpoints the auditor relies on */
  constructor(
    checkpoints: readonly StoredCheckpoint[],
    anchors: readonly Anchor[] = [],
    begin: LogStart | null = null,
    parties: AnchorParties = { witnesses: [], authorities: [] },
  ) {
    this.begin = begin;
    this.tree = begin?.tree ?? new CompactTree();
    this.startSize = this.tree.size;
    this.log = begin?.log ?? null;
    this.head = begin?.head ?? null;
    this.history = begin?.history ?? null;
    // Judged into nothing where what is open is not known: the counts are still right.
    this.rules = begin === null ? new LogRules(this.damage) : (begin.rules ?? new LogRules(new DamageLog()));
    begin?.rules?.reportTo(this.damage);
    this.witnessed = new AnchorRules(this.damage, parties, this.startSize);
    this.checkpoints = new Map(checkpoints.map((checkpoint) => [checkpoint.size, checkpoint]));
    this.anchors = new AnchorCheck(anchors, this.damage);
    if (begin !== null) {
      this.anchors.before(begin);
      for (const { purpose, kid } of begin.rules === null ? [] : begin.history.all())
        if (purpose === "evidence") this.signers.push(kid);
    }
  }

  /**
   * Takes the next row, in the order of `seq`. Gives what it says when that is signed and may be said.
   * `vouched` is what {@link vouch} said of the same text.
   */
  take(row: StoredEntry, vouched: Vouched | null = null): EntryPayload | null {
    const seq = this.tree.size;
    if (row.seq !== seq) this.damage.add("chain", row.seq, `entry ${seq} is missing or out of order`);
    const leaf = vouched?.leaf ?? leafHash(row.jws);
    const payload = this.open(row, vouched?.sound ?? false);
    if (payload !== null) this.judge(row, payload);
    if (!leaf.equals(row.hash))
      this.damage.add("projection", row.seq, "the stored hash differs from the entry");
    this.head = leaf.toString("hex");
    this.tree.push(leaf);
    this.checkCheckpoint(row.seq);
    this.anchors.at(this.tree, this.log, this.history);
    return payload;
  }

  /** The payload when it is signed by a key in force and exactly what an entry may be. */
  private open(row: StoredEntry, sound: boolean): EntryPayload | null {
    const opened = sound ? openCheckedJws(row.jws) : openJws(row.jws);
    if (opened === null) {
      this.damage.add("signature", row.seq, "not a signed entry in canonical form", row.trace_id);
      return null;
    }
    const payload = sound ? (JSON.parse(opened.payload) as EntryPayload) : readPayload(opened.payload);
    if (this.history === null) {
      if (isFault(payload)) return this.fault(row, payload);
      this.start(payload);
    }
    // The signature before the form: what nobody signed is damage, whatever version it claims to be of.
    const at = isFault(payload) ? row.seq : payload.seq;
    const key = this.history === null ? null : entryKeyAt(this.history, opened.kid, at, payload);
    if (key === null || !(sound || verifyJws(opened, key))) {
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
    this.witnessed.take(payload);
  }

  private revoke(payload: Extract<EntryPayload, { readonly type: "key.revoked" }>): void {
    const tree = { size: this.tree.size, root: this.tree.root() };
    // The last signer is the one whose signature under this very entry has just been verified.
    const signer = this.signers.at(-1) ?? "";
    const fault =
      this.history === null ? "unknown keys" : applyRevocation(this.history, signer, payload, tree);
    if (fault !== null) this.damage.add("key", payload.seq, fault);
    else if (payload.purpose === "evidence") this.rules.repudiate(this.history?.repudiated() ?? []);
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
    else {
      this.repudiations.checkpoint(stored.size, this.history?.current("checkpoint").kid ?? "");
      this.witnessed.checkpoint(parsed.origin, this.tree.size, root);
    }
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

  /** Two rows beside grants have an id which belongs to one; where the rows are those of entries, two entries have it. */
  repeated(seq: number, detail: string): void {
    this.damage.add(this.damage.counts.side_table === undefined ? "rules" : "side_table", seq, detail);
  }

  /** The rows end before what stands beside them says. */
  incomplete(detail: string): void {
    this.damage.add("chain", null, detail);
  }

  finish(trust: Trust, strict: boolean): VerifyReport {
    for (const size of this.checkpoints.keys())
      this.damage.add(
        "checkpoint",
        null,
        `a checkpoint covers ${size} entries; the log has ${this.tree.size}`,
      );
    if (this.tree.size === 0) this.damage.add("chain", null, "the log is empty");
    this.anchors.finish(this.tree.size);
    const signedTo = this.witnessed.finish();
    const repudiated = this.repudiations.of(this.history, this.tree.size);
    this.damage.repudiate(repudiated.ranges);
    // A key that only a revoked one vouches for is nobody's, even if somebody noted it.
    const trusted = this.signers.some(
      (kid) => trust.fingerprints.has(kid) && !this.repudiations.isTainted(this.history, kid),
    );
    if (trust.fingerprints.size > 0 && !trusted)
      this.damage.add("trust", null, "no trusted key has signed this log");
    const { unresolved } = this.rules;
    if (strict && (this.begin === null || this.begin.rules !== null))
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
      anchored_to: this.anchoredTo(signedTo),
      timestamps: this.witnessed.timestamps(),
      since: this.begin === null ? null : this.startSize,
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
      statements: this.rules.statements.signed,
      unsigned_decisions: this.rules.statements.unsigned,
      pruned: this.rules.pruned,
      clock_regressions: this.regressions,
      repudiated: repudiated.entries,
      repudiated_ranges: repudiated.ranges,
      repudiated_checkpoints: repudiated.checkpoints,
    };
  }

  private anchoredTo(signedTo: number | null): number | null {
    const reached = [this.anchors.reached, signedTo].filter((size) => size !== null);
    return reached.length === 0 ? null : Math.max(...reached);
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
