import type { EntryPayload } from "../entry/entry.ts";
import type { Vouched, VouchedText } from "./vouch.ts";

/** Vouched entries as they change threads: bytes and one text, which cost a fraction of as many objects. */
export interface VouchedBatch {
  /** 32 bytes for each. */
  readonly leaves: Uint8Array<ArrayBuffer>;
  /** For each the place of its signer's thumbprint in `kids`. */
  readonly signers: Uint16Array<ArrayBuffer>;
  readonly kids: readonly string[];
  /** A JSON list. */
  readonly payloads: string;
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
  return { leaves, signers, kids, payloads: `[${vouched.map(({ text }) => text).join(",")}]` };
}

/** Reads what a thread of this program has made of entries that it vouched for. */
export function unpackVouched({ leaves, signers, kids, payloads }: VouchedBatch): Vouched[] {
  const read = JSON.parse(payloads) as EntryPayload[]; // each the text of a payload that was checked
  if (leaves.length !== read.length * 32 || signers.length !== read.length)
    throw new RangeError("an answer for other entries");
  const bytes = Buffer.from(leaves.buffer, leaves.byteOffset, leaves.byteLength);
  return read.map((payload, i) => ({
    leaf: bytes.subarray(i * 32, (i + 1) * 32),
    kid: kids[signers[i] ?? -1] ?? "",
    payload,
  }));
}
