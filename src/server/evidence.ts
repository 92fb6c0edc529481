import { realpathSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { Gate } from "../gate/gate.ts";
import type { CheckpointRhythm } from "../gate/ledger-thread.ts";
import { cosignedBy, readVkey } from "../ledger/anchor/cosignature.ts";
import { stampedBy } from "../ledger/anchor/timestamp/stamped.ts";
import { checkpointOrigin } from "../ledger/checkpoint.ts";
import { StartError } from "./start-error.ts";

/** How the log is summarised, as the configuration says. Throws `start_failed` on a mirror within the project folder. */
export function checkpointRhythm(dir: string, { evidence }: Config): CheckpointRhythm {
  return {
    entries: evidence.checkpoint_entries,
    everyMs: evidence.checkpoint_seconds * 1000,
    mirrors: evidence.mirrors.map(({ path }) => outside(dir, path)),
  };
}

/** What is restored together with the ledger would agree with it, however old both are. */
function outside(dir: string, path: string): string {
  let place: string;
  try {
    place = join(realpathSync(dirname(path)), basename(path));
  } catch (cause) {
    throw new StartError("start_failed", `there is no folder for the mirror ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
  if (place.startsWith(`${realpathSync(dir)}${sep}`))
    throw new StartError("start_failed", `the mirror ${path} is inside of the project folder`, {
      hint: "put it where a backup of the project folder does not reach",
    });
  return place;
}

/** What an operator is told about the log's checkpoints; `anchored_to` only by signatures of configured parties. */
export function evidenceStatus({ reader, config, ledger, timestampAuthorities }: Gate): JsonObject {
  const { evidence } = config;
  const witnesses = evidence.witnesses.flatMap(({ vkey }) => readVkey(vkey) ?? []);
  const newest = reader.db
    .query<{ size: number | null }, []>("SELECT max(size) AS size FROM checkpoints")
    .get();
  const said = reader.db
    .query<{ seq: number }, []>(
      "SELECT seq FROM entries WHERE type = 'checkpoint.anchored' ORDER BY seq DESC LIMIT 1",
    )
    .get();
  const anchored = said === null ? null : reader.trusted(said.seq, "checkpoint.anchored");
  const origin = checkpointOrigin(ledger.log);
  const by =
    anchored === null
      ? []
      : [...cosignedBy(origin, anchored, witnesses), ...stampedBy(origin, anchored, timestampAuthorities)];
  const quorum = evidence.quorum ?? witnesses.length + timestampAuthorities.length;
  return {
    checkpoint: newest?.size ?? null,
    mirrors: evidence.mirrors.map(({ path }) => path),
    witnesses: witnesses.map(({ name }) => name),
    timestamp_authorities: timestampAuthorities.map(({ name }) => name),
    quorum,
    anchored_to: anchored !== null && by.length > 0 && by.length >= quorum ? anchored.size : null,
    anchored_by: by.map(({ name }) => name),
  };
}

/** Settings in force that give up a protection, for the banner and the log. */
export function unsafeSettings({ evidence, sandbox }: Config): readonly string[] {
  const asked = [...evidence.witnesses, ...evidence.timestamps];
  return [
    ...(asked.some(({ url }) => !url.startsWith("https:")) ? ["unsafe_http"] : []),
    ...(sandbox.unsafe_unlocked ? ["unsafe_unlocked"] : []),
  ];
}
