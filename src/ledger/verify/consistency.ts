import { fromBase64url } from "../../core/bytes.ts";
import { admitEd25519 } from "../../keys/admission.ts";
import { type Checkpoint, checkpointSignedBy } from "../checkpoint.ts";
import { LedgerError } from "../errors.ts";
import { readConsistency } from "../proof/consistency-file.ts";
import type { Anchor } from "./anchors.ts";
import { DamageLog, type VerifyReport } from "./report.ts";
import type { Trust } from "./trust.ts";

/** What can be said of two checkpoints and the path between them, with no log at hand. */
export interface ConsistencyReport
  extends Pick<
    VerifyReport,
    "verdict" | "summary" | "exit_code" | "trusted" | "anchored_to" | "first_damage" | "damage"
  > {
  /** The line that names the log; null when there is no proof. */
  readonly origin: string | null;
  readonly older: { readonly size: number; readonly root: string } | null;
  readonly newer: { readonly size: number; readonly root: string } | null;
}

/**
 * Verifies that one checkpoint extends another, and who signed the two: a checkpoint key of `--trust`, or an anchor of the
 * same size and root in its place. Throws `trust_unreadable` when only a fingerprint is given: it names a key, and is none.
 */
export function verifyConsistencyProof(
  text: string,
  trust: Trust,
  anchors: readonly Anchor[],
): ConsistencyReport {
  const keys = (trust.keys ?? []).filter(({ purpose }) => purpose === null || purpose === "checkpoint");
  if (trust.fingerprints.size > 0 && (trust.keys ?? []).length === 0)
    throw new LedgerError("trust_unreadable", "the signatures need the key itself, not its fingerprint", {
      hint: "give --trust a file with the gate's jwk set",
    });
  const damage = new DamageLog();
  const read = readConsistency(text);
  if (read === null) {
    damage.add("checkpoint", null, "the proof does not lead from its older checkpoint to its newer one");
    return report(null, damage, false, null);
  }
  const { proof, older, newer } = read;
  let [vouched, anchored]: [number, number | null] = [0, null];
  for (const { checkpoint, note } of [
    { checkpoint: older, note: proof.older },
    { checkpoint: newer, note: proof.newer },
  ]) {
    const same = anchors.filter(({ size }) => size === checkpoint.size);
    const contradicted = same.some(({ root }) => !root.equals(checkpoint.root));
    if (contradicted)
      damage.add(
        "anchor",
        null,
        `the checkpoint of ${checkpoint.size} entries is not the one that an anchor names`,
      );
    const borne = same.length > 0 && !contradicted;
    if (borne) anchored = checkpoint.size;
    const signed = keys.some(({ jwk }) => {
      const [key, raw] = [admitEd25519(jwk), fromBase64url(jwk.x)];
      return key !== null && raw !== null && checkpointSignedBy(note, key, raw);
    });
    if (signed || borne) vouched++;
    else if (trust.fingerprints.size > 0)
      damage.add(
        "trust",
        null,
        `no trusted checkpoint key signed the checkpoint of ${checkpoint.size} entries, and no anchor names it`,
      );
  }
  return report({ older, newer }, damage, vouched === 2, anchored);
}

function report(
  proven: { readonly older: Checkpoint; readonly newer: Checkpoint } | null,
  damage: DamageLog,
  trusted: boolean,
  anchored: number | null,
): ConsistencyReport {
  const { first } = damage;
  const shown = ({ size, root }: Checkpoint) => ({ size, root: root.toString("hex") });
  const what = `the log of ${proven?.newer.size} entries extends that of ${proven?.older.size}`;
  const [verdict, summary]: readonly [ConsistencyReport["verdict"], string] =
    first !== null
      ? ["damaged", `damaged: ${first.kind}: ${first.detail}`]
      : trusted
        ? ["intact", `intact: ${what}, both signed by a trusted key or named by an anchor`]
        : ["consistent", `consistent: ${what}, signatures not verified`];
  return {
    verdict,
    summary,
    exit_code: damage.exitCode,
    trusted: trusted && first === null,
    anchored_to: first === null ? anchored : null,
    origin: proven?.newer.origin ?? null,
    older: proven === null ? null : shown(proven.older),
    newer: proven === null ? null : shown(proven.newer),
    first_damage: first,
    damage: damage.counts,
  };
}
