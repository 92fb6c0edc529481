import type { Identities } from "./age.ts";
import { type Entry, secretsIn } from "./layout.ts";
import { unlockDataKey } from "./sops/data-key.ts";
import { formatOf } from "./sops/format.ts";
import { checkMac } from "./sops/mac.ts";
import { readMetadata } from "./sops/metadata.ts";
import { textOf } from "./sops/utf8.ts";

/** What is kept of one version of the secrets file once its MAC is checked: the secrets, still encrypted, and the key. */
export interface CheckedVersion {
  readonly entries: readonly Entry[];
  readonly dataKey: Uint8Array;
}

/**
 * Reads a file's bytes, opens its data key and checks its MAC over every value. Plaintexts are overwritten as they are
 * hashed. Throws `secrets_damaged`, `secrets_unavailable`.
 */
export async function checkVersion(
  path: string,
  bytes: Uint8Array,
  identities: Identities,
): Promise<CheckedVersion> {
  const { documents, metadata: plain } = formatOf(path).read(textOf(bytes));
  const metadata = readMetadata(plain);
  const entries = secretsIn(documents[0], metadata.rule);
  const dataKey = await unlockDataKey(metadata, identities);
  try {
    checkMac(documents, metadata, dataKey);
  } catch (error) {
    dataKey.fill(0);
    throw error;
  }
  return { entries, dataKey };
}
