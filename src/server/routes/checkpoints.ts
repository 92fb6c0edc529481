import { refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import { latestNote, proveEntry } from "../../ledger/prove.ts";
import { refusalAnswer, type ServerContext, shedPeer } from "../context.ts";
import type { FrontRequest } from "../front/index.ts";
import { BOTH, type Route, type TextAnswer } from "../router.ts";
import { readableReceipt } from "./receipts.ts";

export const checkpointRoutes: readonly Route[] = [
  { method: "GET", path: "/v1/checkpoint", sockets: BOTH, handle: checkpoint },
  { method: "GET", path: "/v1/receipts/{id}/proof", sockets: BOTH, handle: proof },
];

function plain(text: string): TextAnswer {
  return { status: 200, contentType: "text/plain; charset=utf-8", text };
}

const NOT_YET = { hint: "checkpoints are signed every so many entries or seconds; ask again in a second" };

/** The newest checkpoint as a C2SP signed note; public, as who compares it with others must not need a credential. */
function checkpoint(context: ServerContext, request: FrontRequest): Answer | TextAnswer {
  const shed = shedPeer(context, request, "rate_limited");
  if (shed !== null) return refusalAnswer(shed);
  const note = latestNote(context.gate.reader.db);
  return note === null
    ? refusalAnswer(refuse("not_checkpointed", 404, "no checkpoint has been signed yet", NOT_YET))
    : plain(note);
}

/** A C2SP tlog-proof for who may read the receipt. A checkpoint is signed for it when none covers it yet. */
async function proof(
  context: ServerContext,
  request: FrontRequest,
  id: string,
): Promise<Answer | TextAnswer> {
  const found = readableReceipt(context, request, id);
  if (!("payload" in found)) return found;
  const { reader, ledger, clock } = context.gate;
  const existing = proveEntry(reader.db, found.seq);
  if (existing !== null) return plain(existing);
  await ledger.checkpoint(clock.monotonic());
  const made = proveEntry(reader.db, found.seq);
  return made === null
    ? refusalAnswer(
        refuse("not_checkpointed", 409, "no checkpoint covers this receipt yet", {
          ...NOT_YET,
          retryAfterSeconds: 1,
        }),
      )
    : plain(made);
}
