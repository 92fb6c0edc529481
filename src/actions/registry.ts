import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Action } from "./action.ts";

/** The actions of one generation; it never changes, so a request that holds one sees one world. */
export interface Registry {
  /** Counts reloads; the first is 1. */
  readonly generation: number;
  /** `sha256:` over the canonical JSON of every id and its manifest digest. */
  readonly digest: string;
  get(id: string): Action | undefined;
  /** In the order of their ids. */
  list(): readonly Action[];
}

export function createRegistry(actions: readonly Action[], generation: number): Registry {
  const sorted = Object.freeze([...actions].sort((a, b) => (a.id < b.id ? -1 : 1)));
  const byId = new Map(sorted.map((action) => [action.id, action]));
  const digests = sorted.map((action): [string, string] => [action.id, action.digest]);
  return Object.freeze({
    generation,
    digest: `sha256:${sha256Hex(canonicalJson(digests))}`,
    get: (id: string) => byId.get(id),
    list: () => sorted,
  });
}
