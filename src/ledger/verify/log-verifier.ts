import { KeyHistory } from "../../keys/history.ts";
import { fingerprint } from "../../keys/jwk.ts";
import { checkpointOrigin } from "../checkpoint.ts";
import {
  type EntryPayload,
  isFault,
  type PayloadFault,
  type Projection,
  readPayload,
} from "../entry/entry.ts";
import type { FollowedEntry } from "../entry/followed.ts";
import { leafHash, openJws, verifyJws } from "../entry/jws.ts";
import { applyRevocation, entryKeyAt } from "../key-revocation.ts";
import { applyRotation } from "../key-rotation.ts";
import { CompactTree, type TreeNode } from "../tree.ts";
import { type AnchorParties, AnchorRules } from "./anchored-entries.ts";
import { type Anchor, AnchorCheck } from "./anchors.ts";
import { EntryTimes } from "./entry-times.ts";
import type { LogStart } from "./log-start.ts";
import { projectionFaults } from "./projection.ts";
import { DamageLog, type VerifyReport } from "./report.ts";
import { Repudiations } from "./repudiations.ts";
import { LogRules } from "./rules.ts";
import { StoredCheckpoints } from "./stored-checkpoints.ts";
import type { Trust } from "./trust.ts";
import { verdictOf } from "./verdict.ts";
import type { Vouched } from "./vouched-batch.ts";

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

/**
 * Verifies a log entry by entry, in order, in flat memory but for what is open. A library without I/O: rows come in,
 * a report comes out. An attacker controls every row.
 */
export class LogVerifier {
  private readonly damage = new DamageLog();
  private readonly rules: LogRules;
  /** Told of the interior nodes that each entry completes. */
  onNodes: (completed: readonly TreeNode[]) => void = () => undefined;
  private readonly witnessed: AnchorRules;
  private readonly tree: CompactTree;
  private readonly begin: LogStart | null;
  private readonly checkpoints: StoredCheckpoints;
  private readonly signers: string[] = [];
  private readonly repudiations = new Repudiations();
  private history: KeyHistory | null = null;
  private log: string | null = null;
  private head: string | null = null;
  private readonly times = new EntryTimes(this.damage);
  private regressions = 0;
  private unsupported: string | null = null;
  private ended = false;
  private readonly anchors: AnchorCheck;
  private readonly startSize: number;

  /**
   * @param checkpoints by size, smallest first; taken as the log reaches them
   * @param parties those whose signatures over checkpoints the auditor relies on
   */
  constructor(
    checkpoints: Iterable<StoredCheckpoint>,
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
    this.checkpoints = new StoredCheckpoints(checkpoints, this.damage);
    this.anchors = new AnchorCheck(anchors, this.damage);
    if (begin !== null) {
      this.anchors.before(begin);
      for (const { purpose, kid } of begin.rules === null ? [] : begin.history.all())
        if (purpose === "evidence") this.signers.push(kid);
    }
  }

  /** Takes the next row, in the order of `seq`. Gives what it says when that is signed and may be said. */
  take(row: StoredEntry): EntryPayload | null {
    const { seq } = row;
    this.inOrder(seq);
    const leaf = leafHash(row.jws);
    const payload = this.open(row);
    if (payload !== null) {
      if (payload.seq !== seq) this.damage.add("chain", seq, "the entry says another position", row.trace_id);
      this.link(seq, payload, row.trace_id);
      for (const column of projectionFaults(row, payload))
        this.damage.add("projection", seq, `the column ${column} differs from the entry`, traceOf(payload));
      this.follow(seq, payload);
    }
    if (!leaf.equals(row.hash)) this.damage.add("projection", seq, "the stored hash differs from the entry");
    this.grow(seq, leaf);
    return payload;
  }

  /** As {@link take}, for a row that somebody of this program has vouched for. */
  takeVouched({ leaf, kid, payload }: Vouched): FollowedEntry | null {
    const { seq } = payload;
    this.inOrder(seq);
    if (this.history === null) this.start(payload);
    const known = this.history !== null && entryKeyAt(this.history, kid, seq, payload) !== null;
    if (known) {
      this.signed(kid);
      this.link(seq, payload, traceOf(payload));
      this.follow(seq, payload);
    } else this.foreignKey(seq, traceOf(payload));
    this.grow(seq, leaf);
    return known ? payload : null;
  }

  private inOrder(seq: number): void {
    const expected = this.tree.size;
    if (seq !== expected) this.damage.add("chain", seq, `entry ${expected} is missing or out of order`);
  }

  private grow(seq: number, leaf: Buffer): void {
    this.head = leaf.toString("hex");
    this.onNodes(this.tree.push(leaf));
    const { tree, log, history } = this;
    const root = this.checkpoints.at(seq, { tree, log, history });
    if (root !== null) {
      this.repudiations.checkpoint(tree.size, history?.current("checkpoint").kid ?? "");
      this.witnessed.checkpoint(checkpointOrigin(log ?? ""), tree.size, root);
    }
    this.anchors.at(tree, log, history);
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
    if (key === null) {
      this.foreignKey(row.seq, row.trace_id);
      return null;
    }
    if (!verifyJws(opened, key)) {
      this.damage.add("signature", row.seq, "the signature is not valid", row.trace_id);
      return null;
    }
    this.signed(opened.kid);
    return isFault(payload) ? this.fault(row, payload) : payload;
  }

  private foreignKey(seq: number, traceId: string | null): void {
    this.damage.add("key", seq, "signed by a key that is not in force there", traceId);
  }

  private signed(kid: string): void {
    if (this.signers.at(-1) !== kid) this.signers.push(kid);
  }

  private fault(row: StoredEntry, { kind, detail }: PayloadFault): null {
    if (kind === "unsupported") this.unsupported ??= `entry ${row.seq}: ${detail}`;
    else this.damage.add("entry", row.seq, detail, row.trace_id);
    return null;
  }

  private start(payload: FollowedEntry): void {
    // It did start, with a key that is not admitted: told once.
    if (this.log !== null) return;
    if (payload.type !== "log.opened" || payload.seq !== 0) {
      this.damage.add("chain", 0, "the log does not start with its opening");
      return;
    }
    this.log = payload.log;
    this.history = KeyHistory.open(payload.keys);
    if (this.history === null) this.damage.add("key", 0, "an opening key is not admitted");
  }

  private link(seq: number, payload: FollowedEntry, traceId: string | null): void {
    if (payload.prev !== this.head)
      this.damage.add("chain", seq, "the entry does not continue the one before", traceId);
    if (payload.log !== this.log) this.damage.add("chain", seq, "the entry is of another log", traceId);
  }

  /** What it says, after all that was said before it. */
  private follow(seq: number, payload: FollowedEntry): void {
    if (this.times.take(payload, Date.parse(payload.time))) this.regressions++;
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

  /** Says that the log is at its end, where what covers it must have been reached: damage to it before that beside it. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.checkpoints.finish(this.tree.size);
    if (this.tree.size === 0) this.damage.add("chain", null, "the log is empty");
    this.anchors.finish(this.tree.size);
  }

  finish(trust: Trust, strict: boolean): VerifyReport {
    this.end();
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
    const { verdict, summary, exit_code } = verdictOf({
      damage: this.damage,
      unsupported: this.unsupported,
      trusted,
      entries: this.tree.size,
      fingerprint: shown,
    });
    return {
      verdict,
      summary: summary + repudiated.remark,
      exit_code,
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
      checkpoints: this.checkpoints.checked,
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
}

function traceOf(payload: FollowedEntry): string | null {
  return "trace_id" in payload ? payload.trace_id : null;
}
