import { openOperator } from "../client/open.ts";
import { approvalText } from "./approval-detail.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { printJson, printLine } from "./output.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: {
    name: "approvals show",
    description: "Show everything about one hold: who, what, why, and the plan in full",
  },
  args: { id: { type: "positional", description: "Approval id" }, ...OPERATOR_FLAGS },
  async run({ args }) {
    const client = await openOperator(surroundings(args));
    const detail = await client.approval(args.id);
    if (args.json) await printJson(detail);
    else await printLine(approvalText(detail));
    return 0;
  },
});
