import type { FollowedEntry } from "../entry/followed.ts";
import type { VouchedText } from "./vouch.ts";

/** An entry that was vouched for. */
export interface Vouched extends Omit<VouchedText, "text"> {
  readonly payload: FollowedEntry;
}

/** For the thread that vouched itself. */
export function readVouched(vouched: readonly VouchedText[]): Vouched[] {
  return vouched.map(({ leaf, kid, text }) => ({ leaf, kid, payload: JSON.parse(text) as FollowedEntry })); // checked
}

/** Vouched entries as they change threads: a few buffers, which are handed over and not copied. */
export interface VouchedBatch {
  /** 32 bytes for each. */
  readonly leaves: Uint8Array<ArrayBuffer>;
  /** For each the place of its signer's thumbprint in `kids`. */
  readonly signers: Uint16Array<ArrayBuffer>;
  readonly kids: readonly string[];
  /** A JSON list, UTF-8. */
  readonly payloads: Uint8Array<ArrayBuffer>;
}

export function packVouched(vouched: readonly VouchedText[]): VouchedBatch {
  const leaves = new Uint8Array(vouched.length * 32);
  const signers = new Uint16Array(vouched.length);
  const kids: string[] = [];
  for (const [i, { leaf, kid }] of vouched.entries()) {
    leaves.set(leaf, i * 32);
    const known = kids.indexOf(kid);
    signers[i] = known >= 0 ? known : kids.push(kid) - 1;
  }
  const payloads = new TextEncoder().encode(`[${vouched.map(({ text }) => text).join(",")}]`);
  return { leaves, signers, kids, payloads };
}

/** Reads what a thread of this program has made of entries that it vouched for. */
export function unpackVouched({ leaves, signers, kids, payloads }: VouchedBatch): Vouched[] {
  // Each the text of a payload that was checked, or of what is followed of it.
  const read = JSON.parse(Buffer.from(payloads.buffer).toString()) as FollowedEntry[];
  if (leaves.length !== read.length * 32 || signers.length !== read.length)
    throw new RangeError("an answer for other entries");
  const bytes = Buffer.from(leaves.buffer, leaves.byteOffset, leaves.byteLength);
  return read.map((payload, i) => ({
    leaf: bytes.subarray(i * 32, (i + 1) * 32),
    kid: kids[signers[i] ?? -1] ?? "",
    payload,
  }));
}
