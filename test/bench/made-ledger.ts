/**
 * Makes a ledger with the gate's own writer and acts, a process of its own: `bun test/bench/made-ledger.ts <folder>
 * <entries>`. After the opening entries it is one session's calls, a grant and a receipt each, and three rotations of the
 * evidence key on the way.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { APPROVAL_TABLES } from "../../src/approvals/state.ts";
import { BUDGET_TABLES } from "../../src/budgets/state.ts";
import { sha256Hex } from "../../src/core/bytes.ts";
import { rfc3339 } from "../../src/core/clock.ts";
import { uuidv7Maker } from "../../src/core/ids.ts";
import type { GrantInput } from "../../src/gate/acts/grant.ts";
import { ACTS } from "../../src/gate/acts/index.ts";
import type { LeaseInput } from "../../src/gate/acts/leases.ts";
import type { StartInput } from "../../src/gate/acts/lifecycle.ts";
import type { ReceiptInput } from "../../src/gate/acts/receipt.ts";
import { Keyring } from "../../src/ledger/keyring.ts";
import { openLedgerDatabase, openPayloadDatabase } from "../../src/ledger/store/database.ts";
import { LedgerWriter, type Task } from "../../src/ledger/writer.ts";

const POLICY = "bench-1+000000000000";
const DAY_MS = 86_400_000;
const newId = uuidv7Maker(Date.now);
const hash = (text: string) => sha256Hex(text);
const digest = (text: string) => `sha256:${hash(text)}`;
const jkt = createHash("sha256").update("agent").digest("base64url");
const caller = { tenant: "default", principal: "uid:1000", session_id: newId() };
const action = { action_id: "fs_read", action_version: "1.1.0", action_digest: digest("fs_read") };

function task(act: string, input: unknown): Task {
  return { act, input, payloads: [] };
}

/** What a gate writes before any call: its start, and the lease of the session. */
export function opening(): readonly Task[] {
  const started: StartInput = {
    gateVersion: "bench",
    boundary: "uid",
    policyVersion: POLICY,
    registryDigest: digest("registry"),
    generation: 1,
    actions: 1,
    unsafe: [],
    operators: [],
  };
  const lease: LeaseInput = {
    body: {
      trace_id: newId(),
      ...caller,
      lease_jti: newId(),
      jkt,
      scopes: ["tools:call"],
      identity_method: "peer_credentials",
      peer_uid: 1000,
      expires: rfc3339(Date.now() + DAY_MS),
      max_calls: null,
      epoch: 0,
      fs_root: null,
    },
    expiresMs: Date.now() + DAY_MS,
    keepMs: DAY_MS,
    principalMaxCalls: null,
  };
  return [task("startGate", started), task("issueLease", lease)];
}

/** A grant and its receipt, as a file that was read leaves them. */
export function call(): readonly Task[] {
  const traceId = newId();
  const grantId = newId();
  const now = rfc3339(Date.now());
  const grant: GrantInput = {
    body: {
      trace_id: traceId,
      ...caller,
      jkt,
      ...action,
      grant_id: grantId,
      component_digest: digest("fs"),
      risk: "low",
      cause: { kind: "proof", proof: hash(grantId), approval_id: null, idempotency: null },
      approvers: [],
      call: { commitment: hash(traceId), bytes: 700 },
      policy_version: POLICY,
      generation: 1,
      granted: { hosts: [], paths: [hash("path")], connections: [], secrets: [] },
      limits: {
        timeout_ms: 10_000,
        fuel: 200_000_000,
        memory_mb: 128,
        io_calls: 1,
        request_bytes: 16_384,
        response_bytes: 4_194_304,
      },
      epoch: 0,
      not_after: now,
      boundary: "uid",
      decision: "grant",
    },
    proof: { jkt, jti: grantId, expiresMs: Date.now() + DAY_MS },
    idempotency: null,
  };
  const receipt: ReceiptInput = {
    body: {
      trace_id: traceId,
      ...caller,
      ...action,
      receipt_id: newId(),
      grant_id: grantId,
      component_digest: digest("fs"),
      status: "executed",
      dispatched: "yes",
      confirmed: true,
      claim: { commitment: hash(`${traceId} output`), bytes: 1100 },
      effects: [
        {
          kind: "fs",
          operation: "read",
          path: hash("path"),
          device: "65024",
          inode: "1441795",
          before: hash("content"),
          after: null,
          bytes_before: 1000,
          bytes_after: null,
          reached: "confirmed",
          error: null,
        },
      ],
      verification: { outcome: "verified", reasons: [] },
      error: null,
      started: now,
      finished: now,
      duration_ms: 2,
      io_calls: 1,
      fuel: null,
      peak_memory_bytes: null,
      redactions: 0,
      boundary: "uid",
      decision: "allow",
    },
    approvalId: null,
  };
  return [task("grantCall", grant), task("recordReceipt", receipt)];
}

/** Calls that share a commit, two entries each: a checkpoint of them all follows, as a gate signs one. */
const GROUP = 500;
const ROTATIONS = 3;
/** Groups at either end of the log whose median tells what an entry costs there. */
const COMPARED = 20;

/** What writing an entry took, commit and checkpoint included, microseconds: where the log was short, and where it ended. */
export interface WritingCost {
  readonly early_us: number;
  readonly late_us: number;
}

export const WRITING_COST = "writing-cost.json";

function costOf(groups: readonly number[]): WritingCost {
  const median = (times: readonly number[]) =>
    times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
  const us = (times: readonly number[]) => (median(times) * 1000) / (2 * GROUP);
  // The last group may be a part of one.
  return { early_us: us(groups.slice(1, 1 + COMPARED)), late_us: us(groups.slice(-1 - COMPARED, -1)) };
}

if (import.meta.main) {
  const [folder = "", entries = ""] = process.argv.slice(2);
  const writer = new LedgerWriter({
    db: openLedgerDatabase(join(folder, "ledger.db"), [BUDGET_TABLES, APPROVAL_TABLES]),
    payloads: openPayloadDatabase(join(folder, "payloads.db")),
    keyring: new Keyring(join(folder, "keys")),
    acts: ACTS,
    now: Date.now,
    gateVersion: "bench",
  });
  for (const result of await writer.run(opening()))
    if (result === "revoked") throw new Error("the lease was not issued");
  // log.opened, gate.started, registry.loaded, policy.changed, lease.issued, and the rotations
  const calls = Math.ceil((Number(entries) - 5 - ROTATIONS) / 2);
  const groups: number[] = [];
  let rotated = 0;
  for (let made = 0; made < calls; ) {
    const group: Task[] = [];
    for (; made < calls && group.length < 2 * GROUP; made++) group.push(...call());
    const began = performance.now();
    for (const result of (await writer.run(group)) as readonly { readonly kind?: string }[])
      if (result.kind !== undefined && result.kind !== "granted")
        throw new Error(`a call was not granted: ${result.kind}`);
    writer.checkpoint();
    groups.push(performance.now() - began);
    for (; rotated < ROTATIONS && made >= (calls * (rotated + 1)) / (ROTATIONS + 1); rotated++)
      await writer.run([task("rotateKey", { purpose: "evidence" })]);
  }
  writer.close();
  writeFileSync(join(folder, WRITING_COST), JSON.stringify(costOf(groups)));
  console.log("made");
  process.exit(0);
}
