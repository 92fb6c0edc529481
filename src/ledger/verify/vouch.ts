import type { KeyObject } from "node:crypto";
import { admitEd25519 } from "../../keys/admission.ts";
import { type Ed25519Jwk, thumbprint } from "../../keys/jwk.ts";
import { isFault, readPayload } from "../entry/entry.ts";
import { leafHash, type OpenedJws, openJws, verifyJws } from "../entry/jws.ts";
import { readPlain } from "../entry/plain-entry.ts";
import { grantFault, isPlainGrant } from "./grants-table.ts";
import { isPlainProjection, projectionFaults } from "./projection.ts";
import type { FileRow } from "./rows.ts";

/**
 * An entry of which all holds that can be seen without those before it: canonical form, a closed and canonical
 * payload, the signature of the key whose thumbprint the header names, and every column beside it, the table of grants
 * included. Whether that key may sign there is for the one who knows the log.
 */
export interface VouchedText {
  readonly leaf: Buffer;
  readonly kid: string;
  /** Of what follows of the payload; see entry/followed.ts. */
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

/** An entry of which all holds but perhaps the signature. */
interface Unsigned extends VouchedText {
  readonly opened: OpenedJws;
  readonly key: KeyObject;
}

/** Null when something does not hold, or is not known: then the row has to be looked at by who can say what. */
export function vouch(row: FileRow, keys: KeyDirectory): VouchedText | null {
  const one = vouchUnsigned(row, keys);
  return one !== null && isSigned(one) ? one : null;
}

function vouchUnsigned(row: FileRow, keys: KeyDirectory): Unsigned | null {
  const { jws, hash } = row;
  const opened = typeof jws === "string" ? openJws(jws) : null;
  const key = opened === null ? null : keys.get(opened.kid);
  if (typeof jws !== "string" || opened === null || key === null) return null;
  const leaf = leafHash(jws);
  if (!(hash instanceof Uint8Array) || !leaf.equals(hash)) return null;
  const text = followedOf(row, opened.payload);
  return text === null ? null : { leaf, kid: opened.kid, text, opened, key };
}

function isSigned({ opened, key }: Unsigned): boolean {
  return verifyJws(opened, key);
}

/** The text of what is followed of a payload; null when it is none, or says not what stands beside it. */
function followedOf(row: FileRow, text: string): string | null {
  const plain = typeof row.type === "string" ? readPlain(row.type, text) : null;
  if (plain !== null) {
    const { members, followed } = plain;
    const isAt = typeof row.seq === "number" && members.seq === String(row.seq);
    return isAt && isPlainProjection(row, plain) && isPlainGrant(row, plain) ? followed : null;
  }
  const payload = readPayload(text);
  if (isFault(payload) || payload.seq !== row.seq) return null;
  return projectionFaults(row, payload).length === 0 && grantFault(row, payload) === null ? text : null;
}

/** Those from the first on, one position after the other, up to where one can't be vouched for. */
export function vouchFirst(rows: readonly FileRow[], from: number, keys: KeyDirectory): VouchedText[] {
  const unsigned: Unsigned[] = [];
  for (const row of rows) {
    const one = row.seq === from + unsigned.length ? vouchUnsigned(row, keys) : null;
    if (one === null) break;
    unsigned.push(one);
  }
  // Signatures apart: the same code over and over is quicker than in turn with all the other.
  const bad = unsigned.findIndex((one) => !isSigned(one));
  return bad < 0 ? unsigned : unsigned.slice(0, bad);
}
