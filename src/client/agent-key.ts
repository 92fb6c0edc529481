import { linkSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { generateKey, readKeyFile, writeKeyFile } from "../keys/key-file.ts";
import { withLock } from "./lock.ts";
import { type SenderKey, senderKey } from "./proof.ts";
import { ensurePrivateDir } from "./state.ts";

/**
 * The key that an agent's leases are bound to: `agent.pem` in the state folder, made on first use. Processes that
 * start together share one key: it is made under a lock, and appears complete or not at all.
 */
export async function agentKey(stateDir: string): Promise<SenderKey> {
  ensurePrivateDir(stateDir);
  const path = join(stateDir, "agent.pem");
  if (!isThere(path))
    await withLock(join(stateDir, "agent.lock"), () => {
      if (isThere(path)) return;
      const fresh = `${path}.new`;
      rmSync(fresh, { force: true }); // left by a process that died here
      writeKeyFile(fresh, generateKey("p256"));
      linkSync(fresh, path); // unlike rename, never over an existing file
      rmSync(fresh);
    });
  return senderKey(readKeyFile(path, "p256"), path);
}

/** A symlink counts, wherever it leads: it is not replaced, and reading it is refused. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
