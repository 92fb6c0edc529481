import type { Database } from "bun:sqlite";
import type { KeyObject } from "node:crypto";
import type { HistoricalKey, KeyHistory, RotatablePurpose } from "../keys/history.ts";
import { publicJwk } from "../keys/jwk.ts";
import type { EntryBody } from "./entry/types.ts";
import { possess } from "./key-possession.ts";
import { statementOf } from "./key-revocation.ts";
import type { Keyring } from "./keyring.ts";
import { consistencyProof } from "./proof/consistency.ts";
import { CompactTree } from "./tree.ts";

export interface WantedRevocation {
  readonly kid: string;
  /** The checkpoint up to which the key's word stands. */
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

/** What the recovery key's holder must put into the statement. */
export interface PreparedRevocation {
  readonly log: string;
  readonly purpose: RotatablePurpose;
  /** A fresh key, made and stored; null when none has to take over. */
  readonly successor: string | null;
}

export interface RevokedKey {
  readonly purpose: RotatablePurpose;
  readonly kid: string;
  readonly size: number;
  readonly successor: string | null;
  /** Purposes whose key in force had come in by an entry that does not stand any more. */
  readonly also_replaced: readonly RotatablePurpose[];
}

export interface RevocationRefused {
  readonly refused: string;
}

interface Judged {
  readonly body: EntryBody<"key.revoked">;
  /** The successor's private key; null without a successor. */
  readonly key: KeyObject | null;
}

/** The writer's part in a revocation: makes successors, and judges statements before anything is signed. */
export class Revoker {
  private readonly db: Database;
  private readonly keyring: Keyring;
  private readonly history: KeyHistory;
  private readonly log: string;
  /** Successors that were made and are not in force, by purpose. */
  private readonly prepared = new Map<RotatablePurpose, string>();

  constructor(db: Database, keyring: Keyring, history: KeyHistory, log: string) {
    this.db = db;
    this.keyring = keyring;
    this.history = history;
    this.log = log;
  }

  /** A second preparation destroys the successor of the first. */
  prepare({ kid, size, root }: WantedRevocation, seq: number): PreparedRevocation | RevocationRefused {
    const key = this.find(kid);
    if (key === null) return { refused: "the log knows no such key" };
    const { purpose } = key;
    const judged = this.history.judgeRevocation({ purpose, kid, size }, seq);
    if ("fault" in judged) return { refused: judged.fault };
    if (this.tree(0, size).root().toString("hex") !== root)
      return { refused: "the checkpoint is of another history than this log's" };
    this.discard(purpose);
    if (!judged.needsSuccessor) return { log: this.log, purpose, successor: null };
    const successor = this.keyring.create(purpose).kid;
    this.prepared.set(purpose, successor);
    return { log: this.log, purpose, successor };
  }

  judge(statement: string, seq: number): Judged | RevocationRefused {
    const claims = statementOf(this.history, statement);
    if (claims === null) return { refused: "the statement is not signed by the recovery key of this log" };
    const { purpose, kid, size, root } = claims;
    if (claims.log !== this.log) return { refused: "the statement is about another log" };
    const judged = this.history.judgeRevocation({ purpose, kid, size }, seq);
    if ("fault" in judged) return { refused: judged.fault };
    if (this.tree(0, size).root().toString("hex") !== root)
      return { refused: "the checkpoint is of another history than this log's" };
    const prepared = judged.needsSuccessor ? (this.prepared.get(purpose) ?? null) : null;
    if (claims.successor !== prepared || judged.needsSuccessor !== (prepared !== null))
      return { refused: "the statement names another successor than the one that was prepared" };
    const consistency = consistencyProof(size, seq, (level, index) =>
      this.tree(index * 2 ** level, (index + 1) * 2 ** level).root(),
    ).map((hash) => Buffer.from(hash).toString("hex"));
    const common = { purpose, kid, size, root, consistency, statement };
    if (prepared === null) return { body: { ...common, successor: null }, key: null };
    const key = this.keyring.load(purpose, prepared);
    const possession = possess(purpose, key, this.log, seq, prepared);
    this.prepared.delete(purpose);
    return { body: { ...common, successor: { jwk: publicJwk(key), kid: prepared, possession } }, key };
  }

  /** Destroys what was prepared and never came in force. */
  forget(): void {
    for (const purpose of [...this.prepared.keys()]) this.discard(purpose);
  }

  private discard(purpose: RotatablePurpose): void {
    const kid = this.prepared.get(purpose);
    this.prepared.delete(purpose);
    if (kid !== undefined) this.keyring.destroy(purpose, kid);
  }

  private find(kid: string): (HistoricalKey & { readonly purpose: RotatablePurpose }) | null {
    for (const key of this.history.all())
      if (key.kid === kid && key.purpose !== "recovery") return { ...key, purpose: key.purpose };
    return null;
  }

  /** The tree over the leaves from `from` to before `to`. */
  private tree(from: number, to: number): CompactTree {
    const tree = new CompactTree();
    const rows = this.db.query<{ hash: Uint8Array }, [number, number]>(
      "SELECT hash FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq",
    );
    for (const { hash } of rows.iterate(from, to)) tree.push(hash);
    return tree;
  }
}
