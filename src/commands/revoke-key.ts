import { existsSync, readFileSync } from "node:fs";
import { ClientError } from "../client/errors.ts";
import { openOperator } from "../client/open.ts";
import type { OperatorClient } from "../client/operator.ts";
import { findProject } from "../config/project.ts";
import { rfc3339, systemClock } from "../core/clock.ts";
import { LatchGateError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { readFingerprint } from "../keys/jwk.ts";
import { readKeyFile } from "../keys/key-file.ts";
import { signRevocation } from "../keys/revocation-statement.ts";
import { type Checkpoint, checkpointOrigin, parseCheckpoint } from "../ledger/checkpoint.ts";
import type { PreparedRevocation, RevocationRefused, RevokedKey } from "../ledger/revoker.ts";
import { UsageError } from "./exit-code.ts";
import { note } from "./output.ts";
import { surroundings } from "./surroundings.ts";

interface Flags {
  readonly key: string;
  readonly checkpoint: string;
  readonly recoveryKey: string;
  readonly dir: string | undefined;
  readonly operator: string | undefined;
}

/** The two halves of a revocation, wherever the ledger is. */
interface Halves {
  prepare(wanted: { kid: string; size: number; root: string }): Promise<PreparedRevocation>;
  revoke(statement: string): Promise<RevokedKey>;
}

/**
 * Ends a key by the recovery key's word, over the admin socket or on the files of a stopped gate. The recovery key
 * stays here: what crosses is the signed statement.
 */
export async function revokeKey(flags: Flags): Promise<RevokedKey> {
  const kid = readFingerprint(flags.key);
  if (kid === null) throw new UsageError("--key is a key's thumbprint, 43 characters");
  const checkpoint = readCheckpointFile(flags.checkpoint);
  const recovery = readKeyFile(flags.recoveryKey, "ed25519");
  const root = checkpoint.root.toString("hex");
  const run = async (halves: Halves) => {
    const prepared = await halves.prepare({ kid, size: checkpoint.size, root });
    if (checkpoint.origin !== checkpointOrigin(prepared.log))
      throw new UsageError("the checkpoint is of another log");
    const { log, purpose, successor } = prepared;
    const time = rfc3339(systemClock.now());
    const claims = { log, purpose, kid, size: checkpoint.size, root, successor, time };
    return halves.revoke(signRevocation(claims, recovery));
  };
  const client = await running(flags);
  return client === null ? stopped(flags, run) : run(overSocket(client));
}

function readCheckpointFile(path: string): Checkpoint {
  const parsed = existsSync(path) ? parseCheckpoint(readFileSync(path, "utf8")) : null;
  if (parsed === null) throw new UsageError("--checkpoint is a file with a signed checkpoint of this log");
  return parsed.checkpoint;
}

/** A client of the gate; null when none answers. */
async function running(flags: Flags): Promise<OperatorClient | null> {
  try {
    const client = await openOperator(surroundings(flags));
    await client.status();
    return client;
  } catch (error) {
    if (error instanceof LatchGateError && error.code === "gate_unreachable") return null;
    throw error;
  }
}

function overSocket(client: OperatorClient): Halves {
  const post = async (path: string, body: JsonObject) =>
    (await client.request({ method: "POST", path, body })).body as unknown; // the admin api's own answers
  return {
    prepare: async (wanted) => (await post("/v1/admin/revoke-key/prepare", wanted)) as PreparedRevocation,
    revoke: async (statement) => (await post("/v1/admin/revoke-key", { statement })) as RevokedKey,
  };
}

async function stopped(flags: Flags, run: (halves: Halves) => Promise<RevokedKey>): Promise<RevokedKey> {
  const project = findProject({ cwd: process.cwd(), env: process.env, dir: flags.dir });
  if (project === null || !existsSync(project.dir))
    throw new ClientError("gate_unreachable", "no gate answers, and there is no project folder here");
  note("no gate is running: revoking in its files");
  const { withStoppedLedger } = await import("../server/offline.ts");
  return withStoppedLedger(project.dir, (ledger) =>
    run({
      prepare: async (wanted) => accepted(await ledger.act("prepareRevocation", wanted)),
      revoke: async (statement) => accepted(await ledger.act("revokeKey", { statement })),
    }),
  );
}

function accepted<T extends object>(answer: T | RevocationRefused): T {
  if ("refused" in answer) throw new ClientError("revocation_refused", answer.refused);
  return answer;
}
