import { type KeyObject, sign } from "node:crypto";
import { possessionMessage, type RotatablePurpose } from "../keys/history.ts";

/** The new key's own signature under its introduction at `seq`, base64url; see {@link possessionMessage}. */
export function possess(
  purpose: RotatablePurpose,
  key: KeyObject,
  log: string,
  seq: number,
  kid: string,
): string {
  const message = possessionMessage(log, seq, kid);
  const signature =
    purpose === "lease"
      ? sign("sha256", message, { key, dsaEncoding: "ieee-p1363" })
      : sign(null, message, key);
  return signature.toString("base64url");
}
