import type { KeyObject } from "node:crypto";
import { admitEd25519 } from "./admission.ts";
import { type Ed25519Jwk, type P256Jwk, type PublicJwk, thumbprint } from "./jwk.ts";

export const KEY_PURPOSES = ["evidence", "checkpoint", "lease", "recovery"] as const;
export type KeyPurpose = (typeof KEY_PURPOSES)[number];

/** One key of the log with the entries that it may speak for, both ends included. */
export interface HistoricalKey {
  readonly purpose: KeyPurpose;
  readonly kid: string;
  readonly jwk: PublicJwk;
  readonly validFromSeq: number;
  /** Null while in force. */
  readonly validToSeq: number | null;
}

/** The first keys, as `log.opened` names them. */
export interface OpeningKeys {
  readonly evidence: Ed25519Jwk;
  readonly checkpoint: Ed25519Jwk;
  readonly lease: P256Jwk;
  readonly recovery: Ed25519Jwk;
}

/**
 * Which key spoke for what, derived from the log alone: `log.opened` introduces the first keys and each
 * `key.rotated` replaces one. No key file and no export is ever an input.
 */
export class KeyHistory {
  private readonly keys: HistoricalKey[] = [];
  private readonly publicKeys = new Map<string, KeyObject>();

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

  private introduce(purpose: KeyPurpose, jwk: PublicJwk, fromSeq: number): boolean {
    const kid = thumbprint(jwk);
    if (this.keys.some((key) => key.kid === kid)) return false;
    if (jwk.kty === "OKP") {
      const key = purpose === "lease" ? null : admitEd25519(jwk);
      if (key === null) return false;
      this.publicKeys.set(kid, key);
    } else if (purpose !== "lease") return false;
    this.keys.push({ purpose, kid, jwk, validFromSeq: fromSeq, validToSeq: null });
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
