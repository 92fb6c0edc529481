import type { KeyHistory } from "../../keys/history.ts";
import type { CompactTree } from "../tree.ts";
import type { LogRules } from "./rules.ts";

/** Where to begin when the entries before are not at hand, or are taken on the word of a checkpoint. */
export interface LogStart {
  readonly log: string;
  readonly tree: CompactTree;
  /** Hex leaf hash of the last entry before. */
  readonly head: string;
  readonly history: KeyHistory;
  /** What is open there; null when it is not known, and then nothing is said of what entries may say in turn. */
  readonly rules: LogRules | null;
  /** Roots at smaller sizes, as far as anchors ask for them; none when the entries before are not at hand. */
  readonly roots: ReadonlyMap<number, Buffer>;
}
