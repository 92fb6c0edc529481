import type { KeyObject } from "node:crypto";
import { admitEd25519 } from "./admission.ts";
import { type Ed25519Jwk, type P256Jwk, type PublicJwk, thumbprint } from "./jwk.ts";

export const KEY_PURPOSES = ["evidence", "checkpoint", "lease", "recovery"] as const;
export type KeyPurpose = (typeof KEY_PURPOSES)[number];
export type RotatablePurpose = Exclude<KeyPurpose, "recovery">;

/** One key of the log with the entries that it may speak for, both ends included. */
export interface HistoricalKey {
  readonly purpose: KeyPurpose;
  readonly kid: string;
  readonly jwk: PublicJwk;
  readonly validFromSeq: number;
  /** Null while in force. */
  readonly validToSeq: number | null;
  /** Size of the log up to which the key's word stands, when the recovery key has revoked it; else null. */
  readonly standsToSize: number | null;
}

/** Entries that nobody vouches for any more, both ends included: signed by a revoked key, or by one that it brought in. */
export interface RepudiatedRange {
  readonly kid: string;
  readonly from: number;
  readonly to: number;
}

/** What the recovery key says of a key: its word stands up to the tree of this size. */
export interface KeyRevocation {
  readonly purpose: RotatablePurpose;
  readonly kid: string;
  readonly size: number;
  /** The key that takes over; null when none has to. */
  readonly successor: PublicJwk | null;
}

/** The first keys, as `log.opened` names them. */
export interface OpeningKeys {
  readonly evidence: Ed25519Jwk;
  readonly checkpoint: Ed25519Jwk;
  readonly lease: P256Jwk;
  readonly recovery: Ed25519Jwk;
}

/**
 * Which key spoke for what, derived from the log alone: `log.opened` introduces the first keys, each
 * `key.rotated` replaces one, and `key.revoked` ends one by the word of the recovery key. No key file and no export is ever an input.
 */
export class KeyHistory {
  private readonly keys: HistoricalKey[] = [];
  private readonly publicKeys = new Map<string, KeyObject>();
  /** Where the recovery key brought an evidence key in: from there on entries do not rest on earlier keys. */
  private readonly vouched: number[] = [];

  /** Null when a key is not admitted, or when one key would serve two purposes. */
  static open(keys: OpeningKeys): KeyHistory | null {
    const history = new KeyHistory();
    for (const purpose of KEY_PURPOSES) if (!history.introduce(purpose, keys[purpose], 0)) return null;
    return history;
  }

  /** A history from the keys in force somewhere within a log, one of each purpose. Null when one is not admitted. */
  static resume(keys: OpeningKeys, seq: number): KeyHistory | null {
    const history = new KeyHistory();
    for (const purpose of KEY_PURPOSES) if (!history.introduce(purpose, keys[purpose], seq)) return null;
    return history;
  }

  /** Retires the key in force at `seq` and puts the new one in force after it. False when it is not admitted. */
  rotate(purpose: KeyPurpose, jwk: PublicJwk, seq: number): boolean {
    const index = this.keys.findLastIndex((key) => key.purpose === purpose);
    const old = this.keys[index];
    if (old === undefined || !this.introduce(purpose, jwk, seq + 1)) return false;
    this.keys[index] = { ...old, validToSeq: seq };
    return true;
  }

  /**
   * Whether this revocation needs a successor at `seq`, or why it does not follow from the history. An evidence key
   * needs one when the key in force is the revoked one, or came in by an entry of its that does not stand; the others
   * when they are in force themselves.
   */
  judgeRevocation(
    { purpose, kid, size }: Omit<KeyRevocation, "successor">,
    seq: number,
  ): { readonly needsSuccessor: boolean } | { readonly fault: string } {
    const key = this.keys.find((candidate) => candidate.kid === kid && candidate.purpose === purpose);
    if (key === undefined) return { fault: `the log knows no such ${purpose} key` };
    if (!Number.isSafeInteger(size) || size < 1 || size > seq)
      return { fault: `the checkpoint must cover between 1 and ${seq} entries` };
    if (key.standsToSize !== null && key.standsToSize <= size)
      return { fault: "the key has been revoked up to there" };
    if (purpose !== "evidence") return { needsSuccessor: key.validToSeq === null };
    const tainted = key.validToSeq === null || size <= key.validToSeq;
    return { needsSuccessor: tainted && this.nextVouched(key) === null };
  }

  /** Takes a revocation whose statement has been verified. False when it does not follow from the history. */
  revoke(revocation: KeyRevocation, seq: number): boolean {
    const { purpose, kid, size, successor } = revocation;
    const judged = this.judgeRevocation(revocation, seq);
    if ("fault" in judged || judged.needsSuccessor !== (successor !== null)) return false;
    if (successor !== null) {
      // An evidence successor signs the revocation itself, which the revoked key must not.
      const last = purpose === "evidence" ? seq - 1 : seq;
      if (!this.rotate(purpose, successor, last)) return false;
      if (purpose === "evidence") this.vouched.push(seq);
    }
    const index = this.keys.findIndex((candidate) => candidate.kid === kid);
    const key = this.keys[index];
    if (key === undefined) return false;
    this.keys[index] = { ...key, standsToSize: size };
    return true;
  }

  private nextVouched(key: HistoricalKey): number | null {
    return this.vouched.find((seq) => seq > key.validFromSeq) ?? null;
  }

  /** What no key in good standing vouches for; ranges of several keys may overlap. */
  repudiated(): readonly RepudiatedRange[] {
    return this.keys.flatMap((key) => {
      const { purpose, kid, standsToSize, validFromSeq, validToSeq } = key;
      if (purpose !== "evidence" || standsToSize === null) return [];
      if (validToSeq !== null && standsToSize > validToSeq) return [];
      const to = (this.nextVouched(key) ?? Number.POSITIVE_INFINITY) - 1;
      const from = Math.max(standsToSize, validFromSeq);
      return from <= to ? [{ kid, from, to }] : [];
    });
  }

  isRepudiated(seq: number): boolean {
    return this.repudiated().some(({ from, to }) => from <= seq && seq <= to);
  }

  private introduce(purpose: KeyPurpose, jwk: PublicJwk, fromSeq: number): boolean {
    const kid = thumbprint(jwk);
    if (this.keys.some((key) => key.kid === kid)) return false;
    if (jwk.kty === "OKP") {
      const key = purpose === "lease" ? null : admitEd25519(jwk);
      if (key === null) return false;
      this.publicKeys.set(kid, key);
    } else if (purpose !== "lease") return false;
    this.keys.push({ purpose, kid, jwk, validFromSeq: fromSeq, validToSeq: null, standsToSize: null });
    return true;
  }

  /** The verifying key when `kid` may sign the entry at `seq`, else null. */
  evidenceKeyAt(kid: string, seq: number): KeyObject | null {
    const key = this.keys.find((candidate) => candidate.kid === kid && candidate.purpose === "evidence");
    if (key === undefined || seq < key.validFromSeq) return null;
    if (key.validToSeq !== null && seq > key.validToSeq) return null;
    return this.publicKeys.get(kid) ?? null;
  }

  current(purpose: KeyPurpose): HistoricalKey {
    const key = this.keys.findLast((candidate) => candidate.purpose === purpose);
    if (key === undefined) throw new TypeError(`no ${purpose} key`); // open() introduced one of each
    return key;
  }

  all(): readonly HistoricalKey[] {
    return this.keys;
  }

  publicKey(kid: string): KeyObject | null {
    return this.publicKeys.get(kid) ?? null;
  }
}

/**
 * What the new key signs, to show that its holder asked for the rotation. The parts cannot run into each other:
 * a log id has 36 characters and a thumbprint 43.
 */
export function possessionMessage(log: string, seq: number, newKid: string): Buffer {
  return Buffer.from(`latchgate-key-possession-v1${log}${seq}${newKid}`);
}
