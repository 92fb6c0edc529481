import { openOperator } from "../client/open.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { cell, printJson, printLine } from "./output.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: { name: "approvals deny", description: "Refuse a held call" },
  args: {
    id: { type: "positional", description: "Approval id" },
    reason: { type: "string", alias: "r", description: "Why; the requester is told", valueHint: "TEXT" },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const client = await openOperator(surroundings(args));
    const answer = await client.deny(args.id, await client.approval(args.id), args.reason ?? null);
    if (args.json) await printJson(answer);
    const { decision } = answer;
    if (typeof decision === "string" && decision.startsWith("already_") && decision !== "already_denied")
      throw new EndedError(EXIT.error, decision, `the approval ${args.id} has already been decided`);
    if (!args.json) await printLine(`denied ${args.id}: ${cell(answer.deny_reason)}`);
    return 0;
  },
});
