/** Worker entry: reads ranges of a ledger file by itself and vouches for them. Which key may sign where is not its business. */
import type { Database } from "bun:sqlite";
import { messageOf } from "../../core/errors.ts";
import { type LedgerSource, openSource } from "./open-file.ts";
import { type Range, rowsBetween } from "./rows.ts";
import { type KeyDirectory, keyDirectory, vouchAll } from "./vouch.ts";
import { packVouched, type VouchedBatch } from "./vouched-batch.ts";

declare const self: Worker;

export type VouchTask =
  | { readonly kind: "open"; readonly source: LedgerSource; readonly keys: readonly string[] }
  | { readonly kind: "range"; readonly id: number; readonly range: Range };

export type VouchAnswer =
  /** Null when it can't vouch for all of the range. */
  | { readonly kind: "vouched"; readonly id: number; readonly batch: VouchedBatch | null }
  /** The file can't be read there. */
  | { readonly kind: "unreadable"; readonly why: string };

let file: { readonly db: Database; readonly keys: KeyDirectory } | null = null;

self.onmessage = ({ data }: MessageEvent<VouchTask>) => {
  try {
    if (data.kind === "open") {
      const db = openSource(data.source);
      // One state of the file for all ranges.
      db.run("BEGIN");
      file = { db, keys: keyDirectory(data.keys) };
      return;
    }
    if (file === null) throw new TypeError("no file has been opened");
    const vouched = vouchAll(rowsBetween(file.db, data.range), file.keys);
    const batch = vouched === null ? null : packVouched(vouched);
    const answer: VouchAnswer = { kind: "vouched", id: data.id, batch };
    self.postMessage(answer, batch === null ? [] : [batch.leaves.buffer, batch.signers.buffer]);
  } catch (cause) {
    self.postMessage({ kind: "unreadable", why: messageOf(cause) } satisfies VouchAnswer);
  }
};
