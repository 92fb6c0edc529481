import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { sha256 } from "../../core/bytes.ts";
import { isOf, type TimestampAuthority } from "../anchor/timestamp/authority.ts";
import { readReply } from "../anchor/timestamp/query.ts";
import { LONGEST_TOKEN, readToken, type TimestampToken } from "../anchor/timestamp/token.ts";
import { checkpointText } from "../checkpoint.ts";
import { LedgerError } from "../errors.ts";
import type { DamageLog } from "./report.ts";

const SEQUENCE = 0x30;
/** What a reply has around its token is little. */
const LONGEST_FILE = LONGEST_TOKEN + 4096;

/** Whether a value of `--anchor` names a file in DER: no text of a checkpoint has a length octet behind its first character. */
export function isStampFile(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    // Not a file: the value itself may be a checkpoint.
    return false;
  }
  try {
    const head = Buffer.alloc(2);
    return (
      fstatSync(file).isFile() && readSync(file, head) === 2 && head[0] === SEQUENCE && (head[1] ?? 0) >= 0x80
    );
  } finally {
    closeSync(file);
  }
}

/**
 * Reads a time stamp that the auditor kept: a TimeStampToken, or the TimeStampResp that it came in.
 * Throws `anchor_unreadable`, also when none of these authorities vouches for it.
 */
export function readKeptStamp(path: string, authorities: readonly TimestampAuthority[]): TimestampToken {
  const unreadable = (why: string, cause?: unknown) =>
    new LedgerError("anchor_unreadable", `${path}: ${why}`, { ...(cause === undefined ? {} : { cause }) });
  let token: TimestampToken;
  try {
    const bytes = readFileSync(path);
    if (bytes.length > LONGEST_FILE) throw unreadable("too long for a time stamp");
    token = readToken(tokenIn(bytes));
  } catch (cause) {
    throw cause instanceof LedgerError && cause.code === "anchor_unreadable"
      ? cause
      : unreadable("not a time stamp whose signature holds", cause);
  }
  if (!authorities.some((authority) => isOf(authority, token)))
    throw unreadable("no certificate of --tsa vouches for this time stamp");
  return token;
}

function tokenIn(bytes: Buffer): Buffer {
  try {
    const reply = readReply(bytes);
    return reply.kind === "granted" ? reply.token : bytes;
  } catch (error) {
    if (error instanceof LedgerError) return bytes;
    throw error;
  }
}

/** Holds the log's checkpoints against the stamps that the auditor kept: each stamped one of them. */
export class KeptStamps {
  private readonly damage: DamageLog;
  private readonly ahead: Set<TimestampToken>;
  /** Size of the largest checkpoint that one of them stamped; null when none did. */
  reached: number | null = null;

  constructor(stamps: readonly TimestampToken[], damage: DamageLog) {
    this.damage = damage;
    this.ahead = new Set(stamps);
  }

  /** A checkpoint that is the log's, by its recomputed root. */
  checkpoint(origin: string, size: number, root: Buffer): void {
    if (this.ahead.size === 0) return;
    const imprint = sha256(checkpointText({ origin, size, root }));
    for (const stamp of this.ahead)
      if (stamp.imprint.equals(imprint)) {
        this.ahead.delete(stamp);
        this.reached = Math.max(this.reached ?? 0, size);
      }
  }

  finish(): void {
    for (const { time } of this.ahead)
      this.damage.add(
        "anchor",
        null,
        `what was time-stamped at ${new Date(time).toISOString()} is no checkpoint of this log`,
      );
  }
}
