import { openOperator } from "../client/open.ts";
import { approvalText } from "./approval-detail.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { printOutcome } from "./outcome.ts";
import { note } from "./output.ts";
import { confirm } from "./prompt.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: {
    name: "approvals approve",
    description: "Sign for a held call; the gate runs it and this prints its result",
  },
  args: {
    id: { type: "positional", description: "Approval id" },
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const client = await openOperator(surroundings(args));
    const detail = await client.approval(args.id);
    const status = detail.status;
    if (status !== "pending" && status !== "claimed")
      throw new EndedError(
        EXIT.error,
        `already_${String(status)}`,
        `the approval ${args.id} is ${String(status)}, there is nothing to decide`,
        `see latchgate approvals show ${args.id}`,
      );
    if (!args.yes) note(approvalText(detail));
    confirm("Approve and run this call?", args.yes);
    return printOutcome(await client.approve(args.id, detail), args.json);
  },
});
