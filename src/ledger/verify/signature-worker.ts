/** Worker entry: vouches for batches of entries. Which key may sign where is not its business. */
import { type KeyDirectory, keyDirectory, vouchPacked } from "./vouch.ts";

declare const self: Worker;

export type SignatureTask =
  | { readonly kind: "keys"; readonly keys: readonly string[] }
  | { readonly kind: "batch"; readonly id: number; readonly entries: Uint8Array<ArrayBuffer> };

export interface SignatureAnswer {
  readonly id: number;
  readonly vouched: Uint8Array<ArrayBuffer>;
}

let keys: KeyDirectory = new Map();

self.onmessage = ({ data }: MessageEvent<SignatureTask>) => {
  if (data.kind === "keys") {
    keys = keyDirectory(data.keys);
    return;
  }
  const vouched = vouchPacked(data.entries, keys);
  self.postMessage({ id: data.id, vouched } satisfies SignatureAnswer, [vouched.buffer]);
};
