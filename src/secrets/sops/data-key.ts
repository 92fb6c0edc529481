import { randomBytes } from "node:crypto";
import { type Identities, unwrapWith, wrapFor } from "../age.ts";
import { damaged, unavailable } from "../errors.ts";
import type { Metadata, Wrapped } from "./metadata.ts";

const DATA_KEY_BYTES = 32;

/** The file's AES-256 key, opened with the first identity that fits. The caller overwrites it. */
export async function unlockDataKey(metadata: Metadata, identities: Identities): Promise<Uint8Array> {
  for (const { enc } of metadata.age) {
    const dataKey = await unwrapWith(identities, enc);
    if (dataKey === null) continue;
    if (dataKey.length !== DATA_KEY_BYTES) throw damaged("its data key is not 32 bytes long");
    return dataKey;
  }
  throw unavailable(
    "no identity here opens the secrets file",
    "its recipients are under sops: age: in the file; give the gate an identity of one of them",
  );
}

export function freshDataKey(): Uint8Array {
  return new Uint8Array(randomBytes(DATA_KEY_BYTES));
}

/** The data key for each recipient, as the file's metadata holds it. */
export function wrapDataKey(dataKey: Uint8Array, recipients: readonly string[]): Promise<Wrapped[]> {
  return Promise.all(
    recipients.map(async (recipient) => ({ recipient, enc: await wrapFor(recipient, dataKey) })),
  );
}
