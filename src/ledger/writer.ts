import type { Database, Statement } from "bun:sqlite";
import { rfc3339 } from "../core/clock.ts";
import { uuidv7Maker } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import type { KeyHistory, RotatablePurpose } from "../keys/history.ts";
import { type EntryPayload, isFault, readPayload } from "./entry/entry.ts";
import { openJws, signEntry, verifyJws } from "./entry/jws.ts";
import { type EntryBody, type EntryType, PAYLOADS } from "./entry/types.ts";
import { LedgerError } from "./errors.ts";
import { entryKeyAt } from "./key-revocation.ts";
import type { Keyring } from "./keyring.ts";
import { type LoadedLog, loadLog } from "./load.ts";
import { LogClock, type ReadTime } from "./log-clock.ts";
import type { Mirrors } from "./mirrors.ts";
import { EntryStore, openLog } from "./open-log.ts";
import type { PreparedRevocation, RevocationRefused, RevokedKey, WantedRevocation } from "./revoker.ts";
import { type Payload, PayloadWriter } from "./store/payloads.ts";
import { type PrunedPayloads, Pruner, type WantedPruning } from "./store/pruner.ts";
import type { CompactTree } from "./tree.ts";
import { TreeStore } from "./tree-store.ts";
import { type LogEnd, WriterKeys } from "./writer-keys.ts";

/** An entry as it stands in the log. */
export interface Appended {
  readonly seq: number;
  readonly id: string;
  readonly jws: string;
  /** Lower-case hex. */
  readonly leafHash: string;
  readonly time: number;
}

/** What one act may do inside the transaction of its group. */
export interface LedgerTransaction {
  readonly db: Database;
  /**
   * Milliseconds, by which things expire: never before a time that the log has seen. Entries carry the clock's own
   * time, which may stand before it.
   */
  readonly now: number;
  newId(): string;
  /** The entry at `seq` when a key in good standing has signed it there, for decisions that rest on it; else null. */
  trusted(seq: number): EntryPayload | null;
  append<T extends EntryType>(type: T, body: EntryBody<T>): Appended;
  rotate(purpose: RotatablePurpose): { readonly previous: string; readonly kid: string };
  /** Makes ready what a revocation needs before the recovery key's holder can sign it. */
  prepareRevocation(wanted: WantedRevocation): PreparedRevocation | RevocationRefused;
  /** Destroys stored payloads once the entry that says so is durable. Null when there are none. */
  prune(wanted: WantedPruning): PrunedPayloads | null;
  /** Takes a statement of the recovery key, and puts the successor that it names in force. */
  revoke(statement: string): RevokedKey | RevocationRefused;
}

/** A change of state with its evidence: both commit, or neither. It throws only when the gate must stop. */
export type Act = (tx: LedgerTransaction, input: never) => unknown;

export interface Task {
  readonly act: string;
  readonly input: unknown;
  readonly payloads: readonly Payload[];
}

export interface WriterOptions {
  readonly db: Database;
  readonly payloads: Database;
  readonly keyring: Keyring;
  readonly acts: Readonly<Record<string, Act>>;
  readonly now: () => number;
  readonly gateVersion: string;
  /** Where checkpoints go beside the log, and what the log must extend; none when absent. */
  readonly mirrors?: Mirrors;
  /** How long checkpoints are signed by a replaced checkpoint key as well, milliseconds; 0 for not at all. */
  readonly checkpointOverlapMs?: number;
}

/**
 * The one place that appends to the log. It owns the connection, the chain head and the signing key, and commits
 * acts in groups: payloads first, then entries and state in one durable transaction. Nothing it made leaves it before
 * both are synced. After a failed write it must not be used again: the head on disk is then unknown.
 */
export class LedgerWriter {
  private readonly options: WriterOptions;
  private readonly payloads: PayloadWriter;
  private readonly newId: () => string;
  private readonly entries: EntryStore;
  private readonly last: Statement<{ seq: number; hash: Uint8Array }, []>;
  private readonly log: string;
  private readonly signing: WriterKeys;
  private readonly tree: CompactTree;
  private readonly nodes: TreeStore;
  private head: string | null;
  private readonly clock: LogClock;
  private readonly pruner: Pruner;
  private broken = false;
  /** Entries that no checkpoint covers yet; those about checkpoints don't count. */
  private fresh: number;

  constructor(options: WriterOptions) {
    this.options = options;
    this.payloads = new PayloadWriter(options.payloads);
    this.newId = uuidv7Maker(options.now);
    this.entries = new EntryStore(options.db);
    this.last = options.db.query("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1");
    const { db, payloads, keyring, mirrors, checkpointOverlapMs: overlapMs = 0 } = options;
    const loaded = loadLog(db) ?? this.create();
    this.log = loaded.log;
    this.tree = loaded.tree;
    this.nodes = new TreeStore(db);
    mirrors?.check(loaded.log, loaded.tree.size, (size) => this.nodes.root(size));
    this.head = loaded.head;
    this.fresh = uncovered(db);
    this.signing = new WriterKeys({ db, keyring, history: loaded.history, log: loaded.log, overlapMs });
    this.clock = new LogClock(db, options.now);
    this.pruner = new Pruner(db, payloads);
    this.pruner.finish();
    this.pruner.sweepOrphans();
    // Every key in force was there before any retired one goes.
    this.signing.destroyRetired(() => this.clock.read().effective);
  }

  private create(): LoadedLog {
    const { db, keyring, mirrors, now, gateVersion } = this.options;
    mirrors?.checkEmpty();
    return openLog(db, { keyring, now: now(), newId: this.newId, gateVersion });
  }

  /** The latest time that the log has seen, milliseconds. */
  get highWater(): number {
    return this.clock.highWater;
  }

  get logId(): string {
    return this.log;
  }

  get keys(): KeyHistory {
    return this.signing.history;
  }

  /**
   * Runs a group. Resolves to one result per task once everything is durable.
   * Rejects when anything could not be written; then nothing of the group may be acted on. One group at a time.
   */
  async run(tasks: readonly Task[]): Promise<unknown[]> {
    if (this.broken) throw new Error("the ledger writer is busy or has failed before");
    this.broken = true;
    const time = this.clock.read();
    const leaves: Buffer[] = [];
    // Payloads are in their file before the entries are in theirs; the two syncs run side by side.
    const stored = this.payloads.write(
      tasks.flatMap((task) => task.payloads),
      time.effective,
    );
    const [results] = await Promise.all([this.commit(tasks, time, leaves), stored]);
    this.pruner.destroyMarked();
    // Only now is the new key's entry durable: before, the old key may still be the one in force after a crash.
    this.signing.destroyRetired(() => this.clock.read().effective);
    this.broken = false;
    return results;
  }

  /** Blocks until the entries are synced. */
  private async commit(tasks: readonly Task[], time: ReadTime, leaves: Buffer[]): Promise<unknown[]> {
    return this.options.db.transaction(() => {
      this.checkHead();
      const regressed = this.clock.take(time);
      if (regressed !== null) this.append("clock.regressed", regressed, time.wall, leaves);
      const results = tasks.map((task) => this.perform(task, time, leaves));
      for (const leaf of leaves) this.nodes.write(this.tree.push(leaf));
      return results;
    })();
  }

  /** Nobody else may write here: a head on disk that is not the one in memory stops the gate. */
  private checkHead(): void {
    const row = this.last.get();
    if (row?.seq === this.tree.size - 1 && Buffer.from(row.hash).toString("hex") === this.head) return;
    throw new LedgerError("ledger_damaged", "the head on disk is not the one that was written", {
      hint: "something else changed the ledger; run latchgate verify on a copy",
    });
  }

  private perform(task: Task, time: ReadTime, leaves: Buffer[]): unknown {
    const act = this.options.acts[task.act];
    if (act === undefined) throw new Error(`unknown act ${task.act}`);
    const now = time.wall;
    const tx: LedgerTransaction = {
      db: this.options.db,
      now: time.effective,
      newId: this.newId,
      trusted: (seq) => this.trusted(seq),
      append: (type, body) => this.append(type, body, now, leaves),
      rotate: (purpose) => this.signing.rotate(purpose, this.end(now, leaves)),
      prepareRevocation: (wanted) => this.signing.prepareRevocation(wanted, this.tree.size + leaves.length),
      prune: (wanted) =>
        this.pruner.prune(wanted, (body) => this.append("payload.pruned", body, now, leaves)),
      revoke: (statement) => this.signing.revoke(statement, this.end(now, leaves)),
    };
    return act(tx, task.input as never);
  }

  private trusted(seq: number): EntryPayload | null {
    const row = this.options.db
      .query<{ jws: string }, [number]>("SELECT jws FROM entries WHERE seq = ?")
      .get(seq);
    const opened = row === null ? null : openJws(row.jws);
    const payload = opened === null ? null : readPayload(opened.payload);
    if (opened === null || payload === null || isFault(payload) || payload.seq !== seq) return null;
    const { history } = this.signing;
    const key = entryKeyAt(history, opened.kid, seq, payload);
    return key !== null && verifyJws(opened, key) && !history.isRepudiated(seq) ? payload : null;
  }

  /** Where the log ends now, and at each look again. */
  private end(now: number, leaves: Buffer[]): LogEnd {
    const position = () => this.tree.size + leaves.length;
    return {
      get seq() {
        return position();
      },
      append: (type, body) => void this.append(type, body, now, leaves),
    };
  }

  private append<T extends EntryType>(type: T, body: EntryBody<T>, now: number, leaves: Buffer[]): Appended {
    const seq = this.tree.size + leaves.length;
    const id = this.newId();
    const payload = { ...body, v: 1, log: this.log, seq, id, type, time: rfc3339(now), prev: this.head };
    // An entry that no verifier would take must never be signed: it would condemn the whole log.
    const fault = PAYLOADS.get(type)?.(payload, type) ?? null;
    if (fault !== null) throw new LedgerError("ledger_failed", `an entry does not fit its schema: ${fault}`);
    const { kid, key } = this.signing.evidence;
    const jws = signEntry(payload as unknown as Json, kid, key);
    const hash = this.entries.write(payload as unknown as EntryPayload, jws);
    leaves.push(hash);
    if (type !== "checkpoint.anchored") this.fresh++;
    this.head = hash.toString("hex");
    this.clock.appended(type, now);
    return { seq, id, jws, leafHash: this.head, time: now };
  }

  /** How many entries wait for a checkpoint. */
  get uncovered(): number {
    return this.fresh;
  }

  /** Signs and stores a checkpoint of the log as it is. Between groups only. */
  checkpoint(): string {
    if (this.broken) throw new Error("the ledger writer is busy or has failed before");
    const { db } = this.options;
    const size = this.tree.size;
    const root = this.tree.root();
    const now = this.clock.read().effective;
    const note = this.signing.signCheckpoint({ size, root }, now);
    db.query("INSERT OR IGNORE INTO checkpoints (size, root, note) VALUES (?, ?, ?)").run(size, root, note);
    this.fresh = 0;
    this.options.mirrors?.append(note);
    // Those that signed beside the new one may have had their time.
    this.signing.destroyRetiredNow(now);
    return note;
  }

  /** Signs a checkpoint, folds the write-ahead logs into the files and closes both. Returns the checkpoint's note. */
  close(): string {
    this.signing.close();
    const note = this.checkpoint();
    this.options.mirrors?.close();
    this.pruner.close();
    this.payloads.close();
    for (const db of [this.options.db, this.options.payloads]) {
      db.run("PRAGMA wal_checkpoint(TRUNCATE)");
      db.close();
    }
    return note;
  }
}

/** Entries behind the last checkpoint that count towards the next. */
function uncovered(db: Database): number {
  const row = db
    .query<{ n: number }, []>(
      `SELECT count(*) AS n FROM entries
       WHERE seq >= (SELECT coalesce(max(size), 0) FROM checkpoints) AND type <> 'checkpoint.anchored'`,
    )
    .get();
  return row?.n ?? 0;
}
