import type { Boundary } from "../ledger/entry/types.ts";

/** What a boundary means for those who rely on it, in one line; null where there is nothing to warn of. */
export function boundaryNote(boundary: Boundary): string | null {
  return boundary === "same_uid"
    ? "agents share the gate's account and could read its keys and secrets. Convenient, not a boundary"
    : null;
}
