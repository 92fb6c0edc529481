import type { PlanKind } from "../../core/plan.ts";
import type { InterfaceName } from "./world.ts";

const GRANTED: Readonly<Record<PlanKind, readonly InterfaceName[]>> = {
  http: ["io-http", "io-log"],
  fs: ["io-fs", "io-log"],
  database: ["io-database", "io-log"],
  mail: ["io-smtp", "io-log"],
  queue: ["io-queue", "io-log"],
  storage: ["io-storage", "io-log"],
  envelope: ["io-http", "io-log"],
};

/** What an action of this kind grants its component: the interface of its one effect, and the log. */
export function interfacesFor(kind: PlanKind): readonly InterfaceName[] {
  return GRANTED[kind];
}
