import { messageOf } from "../../core/errors.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { type Cosignature, verifyCosignature, type WitnessKey } from "./cosignature.ts";
import { post, type WireAnswer } from "./post.ts";

export interface Witness {
  readonly key: WitnessKey;
  /** Submission prefix, without a closing slash. */
  readonly url: string;
  /** PEM; the usual authorities when null. */
  readonly ca: string | null;
}

export interface Submission {
  /** The signed checkpoint. */
  readonly note: string;
  /** What the witness is believed to have cosigned last. */
  readonly oldSize: number;
  /** RFC 6962 §2.1.2 proof from an older size to the note's. */
  readonly proof: (oldSize: number) => readonly Uint8Array[];
  readonly timeoutMs: number;
  /** Seconds since the epoch. */
  readonly now: number;
}

export type WitnessAnswer =
  | { readonly kind: "cosigned"; readonly cosignature: Cosignature }
  | { readonly kind: "refused"; readonly code: WitnessRefusal; readonly detail: string };

/**
 * `witness_unreachable`; `witness_refused`: it answered with another status; `witness_ahead`: it has cosigned more
 * than this log has, so the log was rolled back, or the witness lies; `witness_conflict`: it holds another log;
 * `witness_unverified`: nothing in its answer is a cosignature of its configured key.
 */
export type WitnessRefusal =
  | "witness_unreachable"
  | "witness_refused"
  | "witness_ahead"
  | "witness_conflict"
  | "witness_unverified";

const LONGEST_ANSWER = 16_384;
/** What a witness's clock may be ahead. */
const CLOCK_SKEW_S = 300;

/**
 * Asks a witness to cosign (C2SP tlog-witness `add-checkpoint`). A 409 that names the size it has is answered once,
 * with the proof from there. Nothing that the witness says is believed but a cosignature that verifies.
 */
export async function askWitness(witness: Witness, submission: Submission): Promise<WitnessAnswer> {
  const parsed = parseCheckpoint(submission.note);
  if (parsed === null) throw new TypeError("not a checkpoint");
  const { size } = parsed.checkpoint;
  let { oldSize } = submission;
  for (let attempt = 0; attempt < 2; attempt++) {
    let answer: WireAnswer;
    try {
      answer = await post(
        { url: `${witness.url}/add-checkpoint`, ca: witness.ca },
        {
          type: "text/plain; charset=utf-8",
          body: addCheckpoint(oldSize, submission),
          timeoutMs: submission.timeoutMs,
          longestAnswer: LONGEST_ANSWER,
        },
      );
    } catch (cause) {
      return refused("witness_unreachable", messageOf(cause));
    }
    if (answer.status === 200) {
      const latest = submission.now + CLOCK_SKEW_S;
      const found = answer.body
        .toString("utf8")
        .split("\n")
        .map((line) => verifyCosignature(parsed.text, line, witness.key, latest))
        .find((cosignature) => cosignature !== null);
      return found === undefined
        ? refused("witness_unverified", "no line of its answer is a cosignature of the configured key")
        : { kind: "cosigned", cosignature: found };
    }
    if (answer.status !== 409) return refused("witness_refused", `it answered ${answer.status}`);
    const has = readSize(answer);
    if (has === null) return refused("witness_conflict", "it has another root for this size");
    if (has > size) return refused("witness_ahead", `it has cosigned ${has} entries, this log has ${size}`);
    if (has === oldSize) break;
    oldSize = has;
  }
  return refused("witness_conflict", "it does not keep to the size that it says it has");
}

function refused(code: WitnessRefusal, detail: string): WitnessAnswer {
  return { kind: "refused", code, detail };
}

function addCheckpoint(oldSize: number, { note, proof }: Submission): string {
  const lines = proof(oldSize).map((hash) => `${Buffer.from(hash).toString("base64")}\n`);
  return `old ${oldSize}\n${lines.join("")}\n${note}`;
}

function readSize({ type, body }: WireAnswer): number | null {
  const size = /^(0|[1-9][0-9]{0,14})\n$/.exec(body.toString("utf8"))?.[1];
  return type !== "text/x.tlog.size" || size === undefined ? null : Number(size);
}
