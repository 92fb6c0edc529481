import { type KeyObject, verify } from "node:crypto";
import { fromBase64url } from "../core/bytes.ts";
import { admitEd25519 } from "../keys/admission.ts";
import { type KeyHistory, possessionMessage } from "../keys/history.ts";
import { p256FromJson, thumbprint } from "../keys/jwk.ts";
import { type RevocationClaims, readRevocation } from "../keys/revocation-statement.ts";
import type { EntryPayload, PayloadFault } from "./entry/entry.ts";
import type { FollowedEntry } from "./entry/followed.ts";
import { verifyConsistency } from "./proof/consistency.ts";

type Revoked = Extract<EntryPayload, { readonly type: "key.revoked" }>;

/** The tree before the entry that is looked at. */
export interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/** The claims of a statement that the log's recovery key signed; null when it did not. */
export function statementOf(keys: KeyHistory, statement: string): RevocationClaims | null {
  const { kid } = keys.current("recovery");
  const key = keys.publicKey(kid);
  return key === null ? null : readRevocation(statement, { kid, key });
}

/**
 * The key that may sign the entry at `seq`: an evidence key in force there, or the one that the recovery key brings in
 * with this very entry. What the payload says is believed only as far as the recovery key's signature goes.
 */
export function entryKeyAt(
  keys: KeyHistory,
  kid: string,
  seq: number,
  payload: FollowedEntry | PayloadFault,
): KeyObject | null {
  const known = keys.evidenceKeyAt(kid, seq);
  if (known !== null || "kind" in payload || payload.type !== "key.revoked") return known;
  const { successor } = payload;
  if (payload.purpose !== "evidence" || successor?.jwk.kty !== "OKP") return null;
  const vouched = statementOf(keys, payload.statement)?.successor === kid;
  return vouched && thumbprint(successor.jwk) === kid ? admitEd25519(successor.jwk) : null;
}

/**
 * Takes one `key.revoked` into the history. Null when it was taken, else what is wrong with it. `tree` may be null
 * where the root is compared with the leaves elsewhere.
 */
export function applyRevocation(
  keys: KeyHistory,
  signer: string,
  payload: Revoked,
  tree: TreeHead | null,
): string | null {
  const claims = statementOf(keys, payload.statement);
  if (claims === null) return "the revocation is not signed by the recovery key";
  const { successor } = payload;
  const same =
    claims.log === payload.log &&
    claims.purpose === payload.purpose &&
    claims.kid === payload.kid &&
    claims.size === payload.size &&
    claims.root === payload.root &&
    claims.successor === (successor?.kid ?? null);
  if (!same) return "the revocation is not what the recovery key has signed";
  if (successor !== null && !possessed(payload, successor)) return "the successor has not asked to take over";
  // With a successor in its place, the revoked key must not speak here any more.
  if (payload.purpose === "evidence" && successor !== null && signer !== successor.kid)
    return "the revocation is not signed by the key that takes over";
  if (tree !== null && !extendsRevoked(payload, tree)) return "the revocation names another history";
  const { purpose, kid, size, seq } = payload;
  return keys.revoke({ purpose, kid, size, successor: successor?.jwk ?? null }, seq)
    ? null
    : "the revocation does not follow from the key history";
}

function extendsRevoked({ size, root, consistency, seq }: Revoked, tree: TreeHead): boolean {
  const proof = consistency.map((hash) => Buffer.from(hash, "hex"));
  return tree.size === seq && verifyConsistency(size, tree.size, Buffer.from(root, "hex"), tree.root, proof);
}

function possessed(
  { log, seq }: Revoked,
  { jwk, kid, possession }: NonNullable<Revoked["successor"]>,
): boolean {
  const signature = fromBase64url(possession);
  if (signature === null || thumbprint(jwk) !== kid) return false;
  const message = possessionMessage(log, seq, kid);
  if (jwk.kty === "OKP") {
    const key = admitEd25519(jwk);
    return key !== null && verify(null, message, key, signature);
  }
  const key = p256FromJson(jwk);
  return key !== null && verify("sha256", message, { key: key.key, dsaEncoding: "ieee-p1363" }, signature);
}
