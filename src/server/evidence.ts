import { realpathSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../core/errors.ts";
import type { CheckpointRhythm } from "../gate/ledger-thread.ts";
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
