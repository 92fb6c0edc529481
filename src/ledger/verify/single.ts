import { fromBase64url } from "../../core/bytes.ts";
import { admitEd25519 } from "../../keys/admission.ts";
import { fingerprint } from "../../keys/jwk.ts";
import { checkpointOrigin, checkpointSignedBy } from "../checkpoint.ts";
import { isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws, verifyJws } from "../entry/jws.ts";
import { LedgerError } from "../errors.ts";
import { readProof } from "../proof/tlog-proof.ts";
import type { Anchor } from "./anchors.ts";
import { DamageLog, type VerifyReport } from "./report.ts";
import type { Trust, TrustedKey } from "./trust.ts";

/** What can be said of one entry alone, or of one entry and the checkpoint that covers it. */
export interface SingleReport
  extends Pick<
    VerifyReport,
    "summary" | "exit_code" | "trusted" | "anchored_to" | "log" | "fingerprint" | "first_damage" | "damage"
  > {
  readonly verdict: VerifyReport["verdict"];
  readonly seq: number | null;
  readonly type: string | null;
  readonly time: string | null;
  /** Hex. */
  readonly leaf_hash: string;
  /** The checkpoint of a proof; null for an entry alone. */
  readonly checkpoint: { readonly size: number; readonly root: string } | null;
}

type Told = Pick<SingleReport, "log" | "seq" | "type" | "time" | "fingerprint" | "trusted"> & {
  readonly unsupported: string | null;
};

const forEntries = ({ purpose }: TrustedKey) => purpose === null || purpose === "evidence";
const forCheckpoints = ({ purpose }: TrustedKey) => purpose === null || purpose === "checkpoint";

/** Verifies one compact JWS. Throws `trust_unreadable` when only a fingerprint is given: it names a key, and is none. */
export function verifyEntry(jws: string, trust: Trust): SingleReport {
  const damage = new DamageLog();
  const told = tell(jws, trust, damage);
  return report(jws, told, damage, null, null, told.trusted);
}

/** Verifies a C2SP tlog-proof: the entry, its path to the checkpoint, and who signed that. Throws as {@link verifyEntry}. */
export function verifyProof(text: string, trust: Trust, anchors: readonly Anchor[]): SingleReport {
  const damage = new DamageLog();
  const read = readProof(text);
  if (read === null) {
    damage.add("checkpoint", null, "the proof does not lead from its entry to its checkpoint");
    const nothing = { log: null, seq: null, type: null, time: null, fingerprint: null } as const;
    return report("", { ...nothing, trusted: false, unsupported: null }, damage, null, null, false);
  }
  const { proof, checkpoint } = read;
  const told = tell(proof.jws, trust, damage);
  if (told.seq !== null && told.seq !== proof.index)
    damage.add("chain", proof.index, "the entry says another position than the proof");
  if (told.log !== null && checkpoint.origin !== checkpointOrigin(told.log))
    damage.add("chain", proof.index, "the checkpoint is of another log than the entry");
  const same = anchors.filter(({ size }) => size === checkpoint.size);
  const anchored = same.some(({ root }) => root.equals(checkpoint.root)) ? checkpoint.size : null;
  if (same.some(({ root }) => !root.equals(checkpoint.root)))
    damage.add("anchor", proof.index, "the checkpoint is not the one that an anchor names");
  const signed = (trust.keys ?? []).filter(forCheckpoints).some(({ jwk }) => {
    const [key, raw] = [admitEd25519(jwk), fromBase64url(jwk.x)];
    return key !== null && raw !== null && checkpointSignedBy(proof.note, key, raw);
  });
  if (trust.keys !== undefined && trust.keys.length > 0 && !signed && anchored === null)
    damage.add("trust", null, "no trusted checkpoint key signed the checkpoint, and no anchor names it");
  const trusted = told.trusted && (signed || anchored !== null);
  const shown = { size: checkpoint.size, root: checkpoint.root.toString("hex") };
  return report(proof.jws, told, damage, shown, anchored, trusted);
}

function tell(jws: string, trust: Trust, damage: DamageLog): Told {
  const nothing = {
    log: null,
    seq: null,
    type: null,
    time: null,
    unsupported: null,
    trusted: false,
  } as const;
  const opened = openJws(jws);
  if (opened === null) {
    damage.add("signature", null, "not a signed entry in canonical form");
    return { ...nothing, fingerprint: null };
  }
  const shown = fingerprint(opened.kid);
  const known = trust.keys?.find((key) => key.kid === opened.kid && forEntries(key));
  const key = known === undefined ? null : admitEd25519(known.jwk);
  if ((trust.keys ?? []).length === 0 && trust.fingerprints.has(opened.kid))
    throw new LedgerError("trust_unreadable", "the signature needs the key itself, not its fingerprint", {
      hint: "give --trust a file with the gate's jwk set; its fingerprints can be compared",
    });
  const valid = key !== null && verifyJws(opened, key);
  if (key !== null && !valid) damage.add("signature", null, "the signature is not valid");
  else if (trust.fingerprints.size > 0 && key === null)
    damage.add("trust", null, `signed by a key that is not trusted, ${shown}`);
  const payload = readPayload(opened.payload);
  if (isFault(payload)) {
    if (payload.kind === "invalid") damage.add("entry", null, payload.detail);
    return {
      ...nothing,
      fingerprint: shown,
      trusted: valid,
      unsupported: payload.kind === "unsupported" ? payload.detail : null,
    };
  }
  const { log, seq, type, time } = payload;
  return { log, seq, type, time, fingerprint: shown, trusted: valid, unsupported: null };
}

function report(
  jws: string,
  told: Told,
  damage: DamageLog,
  checkpoint: SingleReport["checkpoint"],
  anchored: number | null,
  trusted: boolean,
): SingleReport {
  const { first } = damage;
  const { log, seq, type, time, unsupported } = told;
  const what =
    checkpoint === null ? `entry ${seq}` : `entry ${seq}, in the log of ${checkpoint.size} entries`;
  const [verdict, summary]: readonly [SingleReport["verdict"], string] =
    first !== null
      ? ["damaged", `damaged: ${first.kind}: ${first.detail}`]
      : unsupported !== null
        ? ["unsupported", `not supported by this version: ${unsupported}`]
        : trusted
          ? ["intact", `intact: ${what}, signed by a trusted key`]
          : ["consistent", `consistent: ${what}, signature not verified, signer ${told.fingerprint}`];
  return {
    verdict,
    summary,
    exit_code: damage.exitCode || (unsupported === null ? 0 : 1),
    trusted: trusted && first === null,
    anchored_to: anchored,
    log,
    seq,
    type,
    time,
    leaf_hash: leafHash(jws).toString("hex"),
    fingerprint: told.fingerprint,
    checkpoint,
    first_damage: first,
    damage: damage.counts,
  };
}
