import { messageOf } from "../../core/errors.ts";
import { LedgerError } from "../errors.ts";
import { FileCheck } from "./file-check.ts";
import { keysNamedIn } from "./named-keys.ts";
import { openLedgerFile } from "./open-file.ts";
import type { VerifyOptions } from "./options.ts";
import type { VerifyReport } from "./report.ts";
import type { Range } from "./rows.ts";
import { KeyDirectory } from "./vouch.ts";
import { VouchPool } from "./vouch-pool.ts";
import type { Vouched } from "./vouched-batch.ts";

/** Verifies a ledger file in this thread. Throws `ledger_unreadable` when it is none. */
export function verifyLedgerFile(path: string, options: VerifyOptions): VerifyReport {
  const file = openLedgerFile(path);
  try {
    return file.db.transaction(() => {
      const check = new FileCheck(file.db, options);
      check.takeAll(new KeyDirectory(keysNamedIn(file.db)));
      return check.finish();
    })();
  } catch (cause) {
    throw broken(path, cause);
  } finally {
    file.close();
  }
}

/** Below this many entries, threads cost more than they save. */
const WORTH_THREADS = 2000;

/**
 * As {@link verifyLedgerFile}, with what can be said of an entry by itself (form, signature, columns) said by that
 * many threads; what depends on order stays in this one. With one thread, or for few entries, there is only this one.
 */
export async function verifyLedgerFileWith(
  threads: number,
  path: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  if (threads <= 1) return verifyLedgerFile(path, options);
  const file = openLedgerFile(path);
  let pool: VouchPool | null = null;
  try {
    // One state of the log for the whole way, while a gate goes on writing. The connection is closed below.
    file.db.run("BEGIN");
    const check = new FileCheck(file.db, options);
    const keys = keysNamedIn(file.db);
    if (check.dense && check.total >= WORTH_THREADS) {
      pool = new VouchPool(threads, file.source, keys);
      await takeRanges(check, pool);
    } else check.takeAll(new KeyDirectory(keys));
    return check.finish();
  } catch (cause) {
    throw broken(path, cause);
  } finally {
    pool?.close();
    file.close();
  }
}

/** Ranges are vouched for in any order, and taken in theirs. */
async function takeRanges(check: FileCheck, pool: VouchPool): Promise<void> {
  const underWay: { readonly range: Range; readonly vouched: Promise<Vouched[]> }[] = [];
  const settle = async () => {
    const oldest = underWay.shift();
    if (oldest !== undefined) check.take(oldest.range, await oldest.vouched);
  };
  for (const range of check.ranges()) {
    const vouched = pool.vouch(range);
    // A failure is met where the range is settled, if it is: the first one ends everything.
    vouched.catch(() => undefined);
    underWay.push({ range, vouched });
    if (underWay.length > pool.depth) await settle();
  }
  while (underWay.length > 0) await settle();
}

function broken(path: string, cause: unknown): LedgerError {
  if (cause instanceof LedgerError) return cause;
  return new LedgerError("ledger_unreadable", `${path} cannot be read to its end: ${messageOf(cause)}`, {
    cause,
  });
}
