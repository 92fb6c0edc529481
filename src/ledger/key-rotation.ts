import { verify } from "node:crypto";
import { fromBase64url } from "../core/bytes.ts";
import { type KeyHistory, possessionMessage } from "../keys/history.ts";
import { p256FromJson, thumbprint } from "../keys/jwk.ts";
import type { EntryPayload } from "./entry/entry.ts";

/** Takes one `key.rotated` into the history; false when it does not follow from it or lacks proof of possession. */
export function applyRotation(
  keys: KeyHistory,
  payload: EntryPayload & { readonly type: "key.rotated" },
): boolean {
  const { purpose, previous_kid, jwk, kid, possession } = payload;
  if (thumbprint(jwk) !== kid || keys.current(purpose).kid !== previous_kid) return false;
  const signature = fromBase64url(possession);
  if (signature === null || !keys.rotate(purpose, jwk, payload.seq)) return false;
  const message = possessionMessage(payload.log, payload.seq, kid);
  if (jwk.kty === "OKP") {
    const key = keys.publicKey(kid);
    return key !== null && verify(null, message, key, signature);
  }
  const key = p256FromJson(jwk);
  return key !== null && verify("sha256", message, { key: key.key, dsaEncoding: "ieee-p1363" }, signature);
}
