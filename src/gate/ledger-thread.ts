/** Worker entry: owns the ledger's connection, chain head and signing key, and commits acts in groups. */
import { APPROVAL_TABLES } from "../approvals/state.ts";
import { BUDGET_TABLES } from "../budgets/state.ts";
import { messageOf } from "../core/errors.ts";
import { Keyring } from "../ledger/keyring.ts";
import { Mirrors } from "../ledger/mirrors.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../ledger/store/database.ts";
import { type Payload, pepper } from "../ledger/store/payloads.ts";
import { LedgerWriter, type Task } from "../ledger/writer.ts";
import { ACTS } from "./acts/index.ts";

declare const self: Worker;

export interface OpenMessage {
  readonly kind: "open";
  readonly ledgerPath: string;
  readonly payloadsPath: string;
  readonly keysDir: string;
  readonly gateVersion: string;
  /** Largest number of acts that share a commit. */
  readonly groupLimit: number;
  readonly checkpoints: CheckpointRhythm;
  /** How long a replaced checkpoint key signs beside the new one, milliseconds. */
  readonly checkpointOverlapMs: number;
}

/** When the log is summarised, and where that goes. */
export interface CheckpointRhythm {
  /** Entries after which a checkpoint is signed. */
  readonly entries: number;
  /** Time after which one is signed when there are new entries. */
  readonly everyMs: number;
  /** Paths of files outside of the data folder. */
  readonly mirrors: readonly string[];
}

export type ThreadMessage =
  | OpenMessage
  | {
      readonly kind: "act";
      readonly id: number;
      readonly act: string;
      /** JSON: a text crosses between threads several times faster than the object it stands for. */
      readonly input: string;
      readonly payloads: readonly Payload[];
    }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "close" };

export type ThreadAnswer =
  | {
      readonly kind: "opened";
      readonly log: string;
      readonly pepper: Uint8Array;
      /** The latest time that the log has seen, milliseconds. */
      readonly highWater: number;
    }
  | {
      readonly kind: "done";
      readonly ids: readonly number[];
      /** JSON: one result per id. */
      readonly results: string;
    }
  /** A signed note that is stored, and in the mirrors. */
  | { readonly kind: "checkpoint"; readonly note: string }
  | { readonly kind: "closed"; readonly checkpoint: string }
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly message: string;
      readonly hint: string | null;
    };

let writer: LedgerWriter | null = null;
let groupLimit = 64;
let waiting: { readonly id: number; readonly task: Task }[] = [];
/** The commits under way, until nothing waits any more. */
let committing: Promise<void> | null = null;
let checkpointEntries = Number.POSITIVE_INFINITY;
/** Asked for, by the clock or by somebody. */
let checkpointWanted = false;
let rhythm: ReturnType<typeof setInterval> | undefined;

self.onmessage = (event: MessageEvent<ThreadMessage>) => {
  const message = event.data;
  if (message.kind === "act") {
    const { id, act, payloads } = message;
    waiting.push({ id, task: { act, input: JSON.parse(message.input), payloads } });
    work();
    return;
  }
  if (message.kind === "checkpoint") {
    checkpointWanted = true;
    work();
    return;
  }
  void attempt(async () => self.postMessage(message.kind === "open" ? open(message) : await close()));
};

function work(): void {
  committing ??= attempt(commitWaiting).finally(() => {
    committing = null;
  });
}

async function attempt(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (cause) {
    waiting = [];
    clearInterval(rhythm);
    const { code, hint } = cause as { code?: unknown; hint?: unknown }; // a LatchGateError carries both
    self.postMessage({
      kind: "failed",
      code: typeof code === "string" && code.startsWith("ledger_") ? code : "ledger_failed",
      message: messageOf(cause),
      hint: typeof hint === "string" ? hint : null,
    } satisfies ThreadAnswer);
  }
}

function open(message: OpenMessage): ThreadAnswer {
  groupLimit = message.groupLimit;
  const { entries, everyMs, mirrors } = message.checkpoints;
  const payloads = openPayloadDatabase(message.payloadsPath);
  writer = new LedgerWriter({
    db: openLedgerDatabase(message.ledgerPath, [BUDGET_TABLES, APPROVAL_TABLES]),
    payloads,
    keyring: new Keyring(message.keysDir),
    acts: ACTS,
    now: Date.now,
    gateVersion: message.gateVersion,
    mirrors: new Mirrors(mirrors),
    checkpointOverlapMs: message.checkpointOverlapMs,
  });
  checkpointEntries = entries;
  rhythm = setInterval(() => {
    if ((writer?.uncovered ?? 0) === 0) return;
    checkpointWanted = true;
    work();
  }, everyMs);
  return { kind: "opened", log: writer.logId, pepper: pepper(payloads), highWater: writer.highWater };
}

async function commitWaiting(): Promise<void> {
  while (waiting.length > 0 || checkpointDue()) {
    // After the messages that are already here, so that concurrent calls share a commit; more come in while it syncs.
    await new Promise(setImmediate);
    if (waiting.length > 0) self.postMessage(await commitGroup());
    // Those who wait for their group come first.
    if (checkpointDue()) self.postMessage(checkpoint());
  }
}

function checkpointDue(): boolean {
  return checkpointWanted || (writer?.uncovered ?? 0) >= checkpointEntries;
}

function checkpoint(): ThreadAnswer {
  if (writer === null) throw new Error("the ledger is not open");
  checkpointWanted = false;
  return { kind: "checkpoint", note: writer.checkpoint() };
}

async function commitGroup(): Promise<ThreadAnswer> {
  if (writer === null) throw new Error("the ledger is not open");
  const group = waiting.splice(0, groupLimit);
  const results = await writer.run(group.map(({ task }) => task));
  return { kind: "done", ids: group.map(({ id }) => id), results: JSON.stringify(results) };
}

async function close(): Promise<ThreadAnswer> {
  if (writer === null) throw new Error("the ledger is not open");
  await committing;
  clearInterval(rhythm);
  return { kind: "closed", checkpoint: writer.close() };
}
