import type { Outcome } from "../client/answers.ts";
import type { JsonObject } from "../core/json.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { isTerminal, jsonText, note, printJson, printLine, safe } from "./output.ts";

/**
 * Prints what became of a call: the output alone on stdout and the receipt id on stderr, or with `--json` the
 * gate's whole answer on stdout. Throws {@link EndedError} for every outcome that is not full success, after
 * printing what there is.
 */
export async function printOutcome(outcome: Outcome, json: boolean): Promise<number> {
  if (json || outcome.kind === "planned") await printJson(outcome.body);
  switch (outcome.kind) {
    case "executed":
      if (!json) {
        await printLine(jsonText(outcome.output, isTerminal(1)));
        note(`receipt ${safe(outcome.receiptId)}`);
      }
      if (outcome.confirmed) return EXIT.done;
      throw new EndedError(
        EXIT.unconfirmed,
        "not_confirmed",
        `the action was dispatched and its effect is not confirmed: ${outcome.verification}`,
        `receipt ${outcome.receiptId} says what was seen`,
      );
    case "held":
      throw new EndedError(
        EXIT.held,
        "pending_approval",
        `held for approval ${outcome.approvalId}${votesText(outcome.body)}; nothing has happened yet`,
        `an operator decides with: latchgate approvals approve ${outcome.approvalId}`,
      );
    case "planned":
      if (outcome.decision === "would_execute") return EXIT.done;
      throw outcome.decision === "would_hold"
        ? new EndedError(EXIT.held, "would_hold", "the call would be held for approval")
        : new EndedError(EXIT.denied, "would_deny", "the call would be denied");
    case "settled":
      throw new EndedError(EXIT.error, outcome.decision, "the approval has already been decided");
  }
}

/** Where more than one operator must agree, how many have. */
function votesText({ votes, quorum }: JsonObject): string {
  return typeof votes === "number" && typeof quorum === "number"
    ? `, ${votes} of ${quorum} have approved`
    : "";
}
