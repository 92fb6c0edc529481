import type { IdentitySource } from "./identity.ts";
import { SecretIndex } from "./layout.ts";
import type { FileState } from "./private-file.ts";
import { unlockDataKey } from "./sops/data-key.ts";
import { formatOf } from "./sops/format.ts";
import { checkMac } from "./sops/mac.ts";
import { readMetadata } from "./sops/metadata.ts";
import { textOf } from "./sops/utf8.ts";

/** One version of the secrets file, its MAC checked: which secrets there are, still encrypted, and the data key. */
export interface CheckedVersion {
  readonly stamp: string;
  readonly digest: string;
  readonly index: SecretIndex;
  readonly dataKey: Uint8Array;
}

/**
 * Reads a file's bytes, opens its data key and checks its MAC over every value. Plaintexts are overwritten as they are
 * hashed. Throws `secrets_damaged`, `secrets_unavailable`.
 */
export async function checkVersion(
  path: string,
  file: FileState,
  identity: IdentitySource,
  signal: AbortSignal,
): Promise<CheckedVersion> {
  const { documents, metadata: plain } = formatOf(path).read(textOf(file.bytes));
  const metadata = readMetadata(plain);
  const index = new SecretIndex(documents[0], metadata.rule);
  const dataKey = await unlockDataKey(metadata, await identity.open(signal));
  try {
    checkMac(documents, metadata, dataKey);
  } catch (error) {
    dataKey.fill(0);
    throw error;
  }
  return { stamp: file.stamp, digest: file.digest, index, dataKey };
}
