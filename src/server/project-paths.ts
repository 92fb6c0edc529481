import { join } from "node:path";

/** Paths of a project folder. */
export function projectPaths(dir: string) {
  return {
    config: join(dir, "latchgate.toml"),
    ledger: join(dir, "ledger.db"),
    lock: join(dir, "ledger.lock"),
    payloads: join(dir, "payloads.db"),
    keys: join(dir, "keys"),
    actions: join(dir, "actions"),
    providers: join(dir, "providers"),
    policyData: join(dir, "policies", "data.json"),
  };
}
