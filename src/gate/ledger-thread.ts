/** Worker entry: owns the ledger's connection, chain head and signing key, and commits acts in groups. */
import { APPROVAL_TABLES } from "../approvals/state.ts";
import { BUDGET_TABLES } from "../budgets/state.ts";
import { messageOf } from "../core/errors.ts";
import { Keyring } from "../ledger/keyring.ts";
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
  /** How long a replaced checkpoint key signs beside the new one, milliseconds. */
  readonly checkpointOverlapMs: number;
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

self.onmessage = (event: MessageEvent<ThreadMessage>) => {
  const message = event.data;
  if (message.kind === "act") {
    const { id, act, payloads } = message;
    waiting.push({ id, task: { act, input: JSON.parse(message.input), payloads } });
    committing ??= attempt(commitWaiting).finally(() => {
      committing = null;
    });
    return;
  }
  void attempt(async () => self.postMessage(message.kind === "open" ? open(message) : await close()));
};

async function attempt(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (cause) {
    waiting = [];
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
  const payloads = openPayloadDatabase(message.payloadsPath);
  writer = new LedgerWriter({
    db: openLedgerDatabase(message.ledgerPath, [BUDGET_TABLES, APPROVAL_TABLES]),
    payloads,
    keyring: new Keyring(message.keysDir),
    acts: ACTS,
    now: Date.now,
    gateVersion: message.gateVersion,
    checkpointOverlapMs: message.checkpointOverlapMs,
  });
  return { kind: "opened", log: writer.logId, pepper: pepper(payloads), highWater: writer.highWater };
}

async function commitWaiting(): Promise<void> {
  while (waiting.length > 0) {
    // After the messages that are already here, so that concurrent calls share a commit; more come in while it syncs.
    await new Promise(setImmediate);
    self.postMessage(await commitGroup());
  }
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
  return { kind: "closed", checkpoint: writer.close() };
}
