import { openOperator } from "../client/open.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { cell, printJson, printLine } from "./output.ts";
import { confirm } from "./prompt.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: { name: "revoke", description: "Kill switch: make every lease, hold and grant worthless" },
  args: {
    all: { type: "boolean", description: "Everything that was given until now" },
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    if (!args.all) throw new UsageError("say what to revoke", "latchgate revoke --all");
    confirm("Every agent loses its lease, and every hold and queued call ends.", args.yes);
    const client = await openOperator(surroundings(args));
    const answer = await client.revokeAll();
    if (args.json) await printJson(answer);
    else
      await printLine(
        `revoked: epoch ${cell(answer.previous_epoch)} is over, ${cell(answer.current_epoch)} begins`,
      );
    return 0;
  },
});
