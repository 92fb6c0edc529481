import type { FollowedEntry } from "./followed.ts";
import type { Commitment } from "./types.ts";

/** The stored payload that an entry names; null when it names none. */
export function namedPayload(entry: FollowedEntry): Commitment | null {
  switch (entry.type) {
    case "lease.issued":
      return entry.fs_root;
    case "call.denied":
      return entry.request;
    case "call.held":
    case "approval.decided":
    case "call.granted":
      return entry.call;
    case "call.receipt":
      return entry.claim;
    default:
      return null;
  }
}

/** What `payload.pruned` says of its commitments: SHA-256 over them in ascending order, each with a line feed. */
export function commitmentsDigest(ascending: Iterable<string>): string {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const commitment of ascending) hasher.update(`${commitment}\n`);
  return `sha256:${hasher.digest("hex")}`;
}
