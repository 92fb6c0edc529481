import type { AnchorParties } from "./anchored-entries.ts";
import type { Anchor } from "./anchors.ts";
import type { StoredPayloads } from "./pruning-check.ts";
import type { Trust } from "./trust.ts";

export interface VerifyOptions {
  readonly trust: Trust;
  readonly strict: boolean;
  /** Checkpoints that the auditor has from elsewhere. */
  readonly anchors?: readonly Anchor[];
  /** The one of them up to which entries are taken on its word; see docs/auditing.md. */
  readonly since?: Anchor | null;
  /** Witnesses and time-stamp authorities that the auditor relies on. */
  readonly parties?: AnchorParties;
  /** The stored payloads, to see that each one is there or was pruned by a signed act. */
  readonly payloads?: StoredPayloads;
  /** Called now and then with entries done and to do. */
  readonly progress?: (done: number, total: number) => void;
}
