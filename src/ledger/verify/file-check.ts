import type { Database } from "bun:sqlite";
import type { FollowedEntry } from "../entry/followed.ts";
import { cosignatureFaults } from "./cosignature-table.ts";
import { GrantsTable, grantFault } from "./grants-table.ts";
import { LogVerifier, type StoredCheckpoint } from "./log-verifier.ts";
import { NodesTable } from "./nodes-table.ts";
import type { VerifyOptions } from "./options.ts";
import { PruningCheck } from "./pruning-check.ts";
import { repeatedGrants } from "./repeated-grants.ts";
import type { VerifyReport } from "./report.ts";
import {
  checkpointRow,
  entryRow,
  type FileRow,
  type Range,
  type Raw,
  rowsBetween,
  rowsFrom,
  shortRows,
} from "./rows.ts";
import { startSince } from "./since.ts";
import { timestampFaults } from "./timestamp-table.ts";
import { type KeyDirectory, vouchFirst } from "./vouch.ts";
import { readVouched, type Vouched } from "./vouched-batch.ts";

/** Entries that are vouched for at once: what bounds the memory of a thread. */
const BATCH = 256;

/** The check of one file: its rows in order, each taken with what is already known of it, then the verdict. */
export class FileCheck {
  private readonly db: Database;
  private readonly options: VerifyOptions;
  private readonly verifier: LogVerifier;
  private readonly pruning: PruningCheck;
  private readonly grants = new GrantsTable();
  private readonly nodes: NodesTable;
  /** How many entries there are to check. */
  readonly total: number;
  /** Entries before this one are not checked; null when all are. */
  private readonly from: number | null;
  /** Whether the positions are those of a whole log; then ranges of them are ranges of rows. */
  readonly dense: boolean;
  private done = 0;

  constructor(db: Database, options: VerifyOptions) {
    this.db = db;
    this.options = options;
    const { since = null, anchors = [], parties, payloads = null } = options;
    const begin = since === null ? null : startSince(db, since, anchors);
    const from = begin?.tree.size ?? null;
    this.from = from;
    this.verifier = new LogVerifier(storedCheckpoints(db, from ?? 0), anchors, begin, parties);
    this.nodes = new NodesTable(db, from ?? 0);
    this.verifier.onNodes = (completed) => this.nodes.take(completed);
    this.pruning = new PruningCheck(db, payloads, from ?? 0);
    const place = placeOf(db, from);
    this.total = Number(place.n);
    const start = from ?? 0;
    this.dense = this.total === 0 || (place.first === start && place.last === start + this.total - 1);
  }

  /** The positions to be checked, a batch at a time, where they are {@link dense}. */
  *ranges(): Generator<Range> {
    const start = this.from ?? 0;
    for (let from = start; from < start + this.total; from += BATCH)
      yield { from, to: Math.min(from + BATCH, start + this.total) };
  }

  /** Takes all there is, in this thread alone. */
  takeAll(keys: KeyDirectory): void {
    if (!this.dense) this.takeRows(rowsFrom(this.db, this.from));
    else
      for (const range of this.ranges())
        this.take(range, readVouched(vouchFirst(shortRows(this.db, range), range.from, keys)));
  }

  /** Takes the entries of a range, of which the first ones have been vouched for. */
  take({ from, to }: Range, vouched: readonly Vouched[]): void {
    for (const one of vouched) {
      const payload = this.verifier.takeVouched(one);
      this.grants.holds(one.payload);
      this.taken(payload);
    }
    const rest = from + vouched.length;
    if (rest < to) this.takeRows(rowsBetween(this.db, { from: rest, to }));
  }

  private takeRows(rows: Iterable<FileRow>): void {
    for (const row of rows) {
      const payload = this.verifier.take(entryRow(row));
      const fault = payload === null ? null : grantFault(row, payload);
      if (payload !== null && fault !== null) this.verifier.sideTable(payload.seq, fault);
      this.grants.met(row);
      this.taken(payload);
    }
  }

  private taken(payload: FollowedEntry | null): void {
    if (payload !== null) this.pruning.take(payload);
    if (++this.done % 4096 === 0) this.options.progress?.(this.done, this.total);
  }

  /** To be asked once, after all entries. */
  finish(): VerifyReport {
    const { db, from, verifier } = this;
    verifier.end();
    const beside = [
      ...this.nodes.faults(),
      ...cosignatureFaults(db, from ?? 0),
      ...timestampFaults(db, from ?? 0),
      ...this.grants.faults(db, from),
    ];
    for (const detail of beside) verifier.sideTable(null, detail);
    for (const { seq, detail } of repeatedGrants(db, from ?? 0)) verifier.repeated(seq, detail);
    for (const { seq, detail } of this.pruning.faults()) verifier.sideTable(seq, detail);
    return verifier.finish(this.options.trust, this.options.strict);
  }
}

function* storedCheckpoints(db: Database, from: number): Generator<StoredCheckpoint> {
  const rows = db
    .query<Raw<StoredCheckpoint>, [number]>(
      "SELECT size, root, note FROM checkpoints WHERE ?1 = 0 OR size > ?1 ORDER BY size",
    )
    .iterate(from);
  for (const row of rows) yield checkpointRow(row);
}

interface Place {
  readonly first: unknown;
  readonly last: unknown;
  readonly n: unknown;
}

/** Where the rows begin and end and how many there are; each for itself, which SQLite knows without reading them. */
function placeOf(db: Database, from: number | null): Place {
  const where = from === null ? "" : `WHERE seq >= ${from}`;
  const sql = `SELECT (SELECT min(seq) FROM entries ${where}) AS first, (SELECT max(seq) FROM entries) AS last,
    (SELECT count(*) FROM entries ${where}) AS n`;
  return db.query<Place, []>(sql).get() ?? { first: null, last: null, n: 0 };
}
