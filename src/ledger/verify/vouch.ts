import type { KeyObject } from "node:crypto";
import { admitEd25519 } from "../../keys/admission.ts";
import { type Ed25519Jwk, thumbprint } from "../../keys/jwk.ts";
import { type EntryPayload, isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws, verifyJws } from "../entry/jws.ts";
import { grantFault } from "./grants-table.ts";
import { projectionFaults } from "./projection.ts";
import type { FileRow } from "./rows.ts";

/**
 * An entry of which all holds that can be seen without those before it: canonical form, a closed and canonical
 * payload, the signature of the key whose thumbprint the header names, and every column beside it, the table of grants
 * included. Whether that key may sign there is for the one who knows the log.
 */
export interface Vouched {
  readonly leaf: Buffer;
  readonly kid: string;
  readonly payload: EntryPayload;
}

/** With the payload's text, as it was signed. */
export interface VouchedText extends Vouched {
  readonly text: string;
}

/** Verifying keys by thumbprint, which names its key by itself: it matters not who gave the key. */
export class KeyDirectory {
  private readonly named: ReadonlyMap<string, Ed25519Jwk>;
  /** Admission costs many times what a signature does, and of the keys that a log names few sign entries. */
  private readonly admitted = new Map<string, KeyObject | null>();

  /** Takes raw public keys (RFC 8037 `x`). */
  constructor(keys: readonly string[]) {
    const jwks = keys.map((x): Ed25519Jwk => ({ kty: "OKP", crv: "Ed25519", x }));
    this.named = new Map(jwks.map((jwk) => [thumbprint(jwk), jwk]));
  }

  /** Null when it was not given, or is not admitted. */
  get(kid: string): KeyObject | null {
    const known = this.admitted.get(kid);
    if (known !== undefined) return known;
    const jwk = this.named.get(kid);
    if (jwk === undefined) return null;
    const key = admitEd25519(jwk);
    this.admitted.set(kid, key);
    return key;
  }
}

/** Null when something does not hold, or is not known: then the row has to be looked at by who can say what. */
export function vouch(row: FileRow, keys: KeyDirectory): VouchedText | null {
  const { jws, hash } = row;
  const opened = typeof jws === "string" ? openJws(jws) : null;
  const key = opened === null ? null : keys.get(opened.kid);
  if (typeof jws !== "string" || opened === null || key === null) return null;
  const payload = readPayload(opened.payload);
  if (isFault(payload) || payload.seq !== row.seq || !verifyJws(opened, key)) return null;
  const leaf = leafHash(jws);
  if (!(hash instanceof Uint8Array) || !leaf.equals(hash)) return null;
  if (projectionFaults(row, payload).length > 0 || grantFault(row, payload) !== null) return null;
  return { leaf, kid: opened.kid, payload, text: opened.payload };
}

/** Characters of a batch: what an attacker made longer is looked at row by row, in flat memory. */
const LONGEST = 16_777_216;

/** Those from the first on, one position after the other, up to where one can't be vouched for. */
export function vouchFirst(rows: Iterable<FileRow>, from: number, keys: KeyDirectory): VouchedText[] {
  const vouched: VouchedText[] = [];
  let length = 0;
  for (const row of rows) {
    length += typeof row.jws === "string" ? row.jws.length : 0;
    const one = length > LONGEST || row.seq !== from + vouched.length ? null : vouch(row, keys);
    if (one === null) break;
    vouched.push(one);
  }
  return vouched;
}
