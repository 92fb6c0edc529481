/** Worker entry: reads ranges of a ledger file by itself and vouches for them. Which key may sign where is not its business. */
import type { Database } from "bun:sqlite";
import { messageOf } from "../../core/errors.ts";
import { type LedgerSource, openSource } from "./open-file.ts";
import { type Range, shortRows } from "./rows.ts";
import { KeyDirectory, vouchFirst } from "./vouch.ts";
import { packVouched, type VouchedBatch } from "./vouched-batch.ts";

declare const self: Worker;

export type VouchTask =
  | { readonly kind: "open"; readonly source: LedgerSource; readonly keys: readonly string[] }
  | { readonly kind: "range"; readonly id: number; readonly range: Range };

export type VouchAnswer =
  /** Of the first entries of the range, as far as it can vouch for them. */
  | { readonly kind: "vouched"; readonly id: number; readonly batch: VouchedBatch }
  /** The file can't be read there. */
  | { readonly kind: "unreadable"; readonly why: string };

let file: { readonly db: Database; readonly keys: KeyDirectory } | null = null;

self.onmessage = ({ data }: MessageEvent<VouchTask>) => {
  try {
    if (data.kind === "open") {
      const db = openSource(data.source);
      // One state of the file for all ranges.
      db.run("BEGIN");
      file = { db, keys: new KeyDirectory(data.keys) };
      return;
    }
    if (file === null) throw new TypeError("no file has been opened");
    const { id, range } = data;
    const batch = packVouched(vouchFirst(shortRows(file.db, range), range.from, file.keys));
    const answer: VouchAnswer = { kind: "vouched", id, batch };
    self.postMessage(answer, [batch.leaves.buffer, batch.signers.buffer, batch.payloads.buffer]);
  } catch (cause) {
    self.postMessage({ kind: "unreadable", why: messageOf(cause) } satisfies VouchAnswer);
  }
};
