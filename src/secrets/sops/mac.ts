import { createHash } from "node:crypto";
import { equalSecrets, sha256 } from "../../core/bytes.ts";
import { damaged } from "../errors.ts";
import { open, placeOf, seal } from "./envelope.ts";
import type { Metadata } from "./metadata.ts";
import type { MapNode } from "./tree.ts";
import { leaves } from "./walk.ts";

/**
 * SHA-512 over every plaintext in document order, as upper-case hex. Keys are no part of it, and nothing stands between
 * two values; keys are bound by the additional data of each encrypted value, see `placeOf`.
 * Each plaintext is overwritten once hashed. Throws `secrets_damaged` for a value that cannot be opened.
 */
export function macOf(
  documents: readonly MapNode[],
  { rule, macOnlyEncrypted }: Pick<Metadata, "rule" | "macOnlyEncrypted">,
  dataKey: Uint8Array,
): string {
  const hash = createHash("sha512");
  // A seed of its own, so that the one kind of MAC is never the other.
  if (macOnlyEncrypted) hash.update(sha256("sops"));
  for (const { path, scalar, encrypted } of leaves(documents, rule)) {
    if (!encrypted) {
      if (!macOnlyEncrypted) hash.update(scalar.text, "utf8");
      continue;
    }
    if (scalar.type !== "str") throw damaged("a value that is not encrypted");
    if (scalar.text === "") continue;
    const bytes = open(scalar.text, dataKey, placeOf(path));
    hash.update(bytes);
    bytes.fill(0);
  }
  return hash.digest("hex").toUpperCase();
}

/** Checks a file's MAC. Throws `secrets_damaged`. */
export function checkMac(documents: readonly MapNode[], metadata: Metadata, dataKey: Uint8Array): void {
  const stated = open(metadata.mac, dataKey, metadata.lastModified);
  if (!equalSecrets(stated, macOf(documents, metadata, dataKey)))
    throw damaged("a value was added, removed or moved");
}

/** The `mac` member for these documents. */
export function sealMac(
  documents: readonly MapNode[],
  metadata: Pick<Metadata, "rule" | "macOnlyEncrypted">,
  dataKey: Uint8Array,
  lastModified: string,
): string {
  return seal(Buffer.from(macOf(documents, metadata, dataKey), "utf8"), dataKey, lastModified);
}
