import { verify as checkSignature } from "node:crypto";
import { type Any, canonical, decode, importKey, type Jwk, thumbprint, treeRoot } from "./primitives.ts";

export interface Key {
  readonly purpose: string;
  readonly jwk: Jwk;
  readonly from: number;
  to: number;
  /** Size of the tree up to which the key's word stands, once it is revoked. */
  stands?: number;
}

/** What the recovery key has said of other keys, as docs/evidence-format.md has it. */
export class Revocations {
  private readonly keys: ReadonlyMap<string, Key>;
  /** Where the recovery key brought an evidence key in. */
  private readonly vouched: number[] = [];

  constructor(keys: ReadonlyMap<string, Key>) {
    this.keys = keys;
  }

  /** The claims of a statement that the recovery key has signed; null when it has not. */
  claims(statement: string): Any {
    const [head = "", body = "", mark = "", ...rest] = statement.split(".");
    const [kid, recovery] = [...this.keys].find(([, { purpose }]) => purpose === "recovery") ?? [];
    const header = `{"alg":"EdDSA","kid":"${kid}","typ":"latchgate-key-revocation+jws"}`;
    const key = recovery && importKey(recovery.jwk);
    const signature = decode(mark, "base64url");
    if (rest.length > 0 || `${decode(head, "base64url")}` !== header || !key || signature?.length !== 64)
      return null;
    if (!checkSignature(null, Buffer.from(`${head}.${body}`), key, signature)) return null;
    const text = `${decode(body, "base64url")}`;
    const { v, log, purpose, kid: of, size, root, successor, time, ...more } = JSON.parse(text);
    const whole = canonical({ v, log, purpose, kid: of, size, root, successor, time }) === text;
    return whole && v === 1 && Object.keys(more).length === 0 ? JSON.parse(text) : null;
  }

  /** The key under which an evidence revocation may stand: the one that it brings in, by the recovery key's word. */
  bringsIn(payload: Any, kid: string): Jwk | null {
    if (payload.type !== "key.revoked" || payload.purpose !== "evidence") return null;
    const jwk = payload.successor?.jwk;
    return jwk?.kty === "OKP" && thumbprint(jwk) === kid && this.claims(payload.statement)?.successor === kid
      ? jwk
      : null;
  }

  /** Takes a revocation; `introduce` puts its successor in force. False when it is not valid. */
  take(
    entry: Any,
    signer: string,
    leaves: readonly Buffer[],
    introduce: (jwk: Jwk, from: number) => boolean,
  ): boolean {
    const { purpose, kid, size, root, successor, statement, log, seq, consistency } = entry;
    const claims = this.claims(statement);
    const said = {
      v: 1,
      log,
      purpose,
      kid,
      size,
      root,
      successor: successor?.kid ?? null,
      time: claims?.time,
    };
    if (claims === null || canonical(claims) !== canonical(said)) return false;
    if (size < 1 || size > seq || leaves.length !== seq) return false;
    if (treeRoot(leaves.slice(0, size)).toString("hex") !== root) return false;
    if (proofOf(size, leaves).join() !== consistency.join()) return false;
    const key = this.keys.get(kid);
    if (key?.purpose !== purpose || (key?.stands ?? Number.POSITIVE_INFINITY) <= size || !key) return false;
    const current = key.to === Number.POSITIVE_INFINITY;
    const tainted = (current || size <= key.to) && this.nextVouched(key) === Number.POSITIVE_INFINITY;
    if ((purpose === "evidence" ? tainted : current) !== (successor !== null)) return false;
    if (successor !== null) {
      const { jwk, possession } = successor;
      const [held, mark] = [importKey(jwk), decode(possession, "base64url")];
      const message = Buffer.from(`latchgate-key-possession-v1${log}${seq}${successor.kid}`);
      const how = { key: held as Any, dsaEncoding: "ieee-p1363" } as const;
      const ec = jwk.kty === "EC";
      if (!held || !mark || ec !== (purpose === "lease") || thumbprint(jwk) !== successor.kid) return false;
      if (!checkSignature(ec ? "sha256" : null, message, how, mark)) return false;
      const evidence = purpose === "evidence";
      if (evidence && signer !== successor.kid) return false;
      const before = [...this.keys.values()].find(
        (one) => one.purpose === purpose && one.to === Number.POSITIVE_INFINITY,
      );
      if (!introduce(jwk, evidence ? seq : seq + 1)) return false;
      if (before) before.to = evidence ? seq - 1 : seq;
      if (evidence) this.vouched.push(seq);
    }
    key.stands = size;
    return true;
  }

  private nextVouched({ from }: Key): number {
    return this.vouched.find((seq) => seq > from) ?? Number.POSITIVE_INFINITY;
  }

  /** Whether the entry at a position is nobody's word. */
  covers(seq: number): boolean {
    return [...this.keys.values()].some((key) => {
      const { purpose, from, to, stands } = key;
      if (purpose !== "evidence" || stands === undefined || stands > to) return false;
      return seq >= Math.max(stands, from) && seq < this.nextVouched(key);
    });
  }

  /** Whether an evidence key came in by entries that are nobody's word. */
  taints(kid: string): boolean {
    const from = this.keys.get(kid)?.from ?? 0;
    return from > 0 && this.covers(from - 1) && this.covers(from);
  }
}

/** RFC 6962 §2.1.2, in hex. */
function proofOf(size: number, leaves: readonly Buffer[], whole = true): string[] {
  const root = (part: readonly Buffer[]) => treeRoot(part).toString("hex");
  if (size === leaves.length) return whole ? [] : [root(leaves)];
  const half = 2 ** (Math.ceil(Math.log2(leaves.length)) - 1);
  const [left, right] = [leaves.slice(0, half), leaves.slice(half)];
  return size <= half
    ? [...proofOf(size, left, whole), root(right)]
    : [...proofOf(size - half, right, false), root(left)];
}
