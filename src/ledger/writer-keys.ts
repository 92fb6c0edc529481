import type { Database } from "bun:sqlite";
import type { KeyObject } from "node:crypto";
import type { KeyHistory, RotatablePurpose } from "../keys/history.ts";
import { signWithCheckpointKeys } from "./checkpoint-keys.ts";
import type { EntryBody, EntryType } from "./entry/types.ts";
import { possess } from "./key-possession.ts";
import type { Keyring } from "./keyring.ts";
import { destroyRetiredKeys } from "./retired-keys.ts";
import {
  type PreparedRevocation,
  type RevocationRefused,
  type RevokedKey,
  Revoker,
  type WantedRevocation,
} from "./revoker.ts";

/** The end of the log, as the transaction under way has it. */
export interface LogEnd {
  /** Position of the next entry. */
  readonly seq: number;
  append<T extends EntryType>(type: T, body: EntryBody<T>): void;
}

export interface WriterKeysOptions {
  readonly db: Database;
  readonly keyring: Keyring;
  readonly history: KeyHistory;
  readonly log: string;
  /** How long checkpoints are signed by a replaced checkpoint key as well, milliseconds. */
  readonly overlapMs: number;
}

/**
 * The writer's keys: which one signs the next entry, and how one follows another. Which key is in force is what the log says,
 * at every crash point: files come before the entry that names them, and go after the one that retires them.
 */
export class WriterKeys {
  readonly history: KeyHistory;
  private readonly options: WriterKeysOptions;
  private readonly revoker: Revoker;
  /** The evidence key in force. */
  private signer: { readonly kid: string; readonly key: KeyObject };
  /** Whether a key has been retired since retired ones were last destroyed. */
  private retired = true;

  /** Every key in force must be there. */
  constructor(options: WriterKeysOptions) {
    const { db, keyring, history, log } = options;
    this.options = options;
    this.history = history;
    const { kid } = history.current("evidence");
    this.signer = { kid, key: keyring.load("evidence", kid) };
    for (const purpose of ["checkpoint", "lease"] as const)
      keyring.load(purpose, history.current(purpose).kid);
    this.revoker = new Revoker(db, keyring, history, log);
  }

  /** What signs the next entry. */
  get evidence(): { readonly kid: string; readonly key: KeyObject } {
    return this.signer;
  }

  /** Replaces a key: file first, then the entry, which the old key signs. */
  rotate(purpose: RotatablePurpose, end: LogEnd): { readonly previous: string; readonly kid: string } {
    const { keyring, log } = this.options;
    const previous = this.history.current(purpose).kid;
    const fresh = keyring.create(purpose);
    const { seq } = end;
    end.append("key.rotated", {
      purpose,
      previous_kid: previous,
      jwk: fresh.jwk,
      kid: fresh.kid,
      possession: possess(purpose, fresh.key, log, seq, fresh.kid),
    });
    if (!this.history.rotate(purpose, fresh.jwk, seq)) throw new Error("the new key was not admitted");
    this.retired = true;
    if (purpose === "evidence") this.signer = { kid: fresh.kid, key: fresh.key };
    return { previous, kid: fresh.kid };
  }

  /** Makes ready what a revocation needs before the recovery key's holder can sign it. */
  prepareRevocation(wanted: WantedRevocation, seq: number): PreparedRevocation | RevocationRefused {
    return this.revoker.prepare(wanted, seq);
  }

  /**
   * Ends a key by the word of the recovery key. An evidence key's successor signs the entry; keys that came in by an
   * entry which does not stand any more are replaced at once.
   */
  revoke(statement: string, end: LogEnd): RevokedKey | RevocationRefused {
    const { seq } = end;
    const judged = this.revoker.judge(statement, seq);
    if ("refused" in judged) return judged;
    const { body, key } = judged;
    if (body.purpose === "evidence" && body.successor !== null && key !== null)
      this.signer = { kid: body.successor.kid, key };
    end.append("key.revoked", body);
    const { purpose, kid, size } = body;
    if (!this.history.revoke({ purpose, kid, size, successor: body.successor?.jwk ?? null }, seq))
      throw new Error("the revocation does not follow from the key history");
    this.retired = true;
    const replaced = (["checkpoint", "lease"] as const).filter((other) =>
      this.history.isRepudiated(this.history.current(other).validFromSeq - 1),
    );
    for (const other of replaced) this.rotate(other, end);
    return { purpose, kid, size, successor: body.successor?.kid ?? null, also_replaced: replaced };
  }

  /** The signed note over a tree, by the checkpoint key and those that it has replaced of late. */
  signCheckpoint(tree: { readonly size: number; readonly root: Buffer }, now: number): string {
    const { log, keyring } = this.options;
    return signWithCheckpointKeys(log, tree, this.history, keyring, this.overlap(now));
  }

  /** After the commit of an entry that retired a key: before, the old one may still be in force after a crash. */
  destroyRetired(now: () => number): void {
    if (this.retired) this.destroyRetiredNow(now());
  }

  /** An old key must not sign again. Keys that still sign checkpoints beside the new one stay until their time is over. */
  destroyRetiredNow(now: number): void {
    destroyRetiredKeys(this.history, this.options.keyring, this.overlap(now));
    this.retired = false;
  }

  /** At a clean end: destroys what was prepared and never came in force. */
  close(): void {
    this.revoker.forget();
  }

  private overlap(now: number) {
    const { db, overlapMs } = this.options;
    return { db, now, overlapMs };
  }
}
