import { openOperator } from "../client/open.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { cell, hasColour, printJson, printLine, table } from "./output.ts";
import { surroundings } from "./surroundings.ts";

const STATES = ["pending", "approved", "denied", "failed", "expired"];

export default defineCommand({
  meta: {
    name: "approvals list",
    description: "List holds, newest first; pending ones unless told otherwise",
  },
  args: {
    status: { type: "string", description: `One of ${STATES.join(", ")}`, valueHint: "STATE" },
    all: { type: "boolean", description: "Holds in every state" },
    limit: {
      type: "string",
      alias: "l",
      description: "At most this many, 1 to 200; 50 by default",
      valueHint: "N",
    },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    if (args.all && args.status !== undefined) throw new UsageError("--all and --status exclude each other");
    if (args.status !== undefined && !STATES.includes(args.status))
      throw new UsageError(`--status is one of ${STATES.join(", ")}`);
    const limit = args.limit ?? "50";
    if (!/^[0-9]{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > 200)
      throw new UsageError("--limit is a whole number from 1 to 200");
    const client = await openOperator(surroundings(args));
    const approvals = await client.approvals({
      status: args.all ? undefined : (args.status ?? "pending"),
      limit,
    });
    if (args.json) await printJson({ approvals });
    else
      await printLine(
        table(
          ["APPROVAL", "STATUS", "ACTION", "RISK", "PRINCIPAL", "EXPIRES"],
          approvals.map((approval) =>
            [
              approval.approval_id,
              approval.status,
              approval.action_id,
              approval.risk_level,
              approval.principal,
              approval.expires_at,
            ].map(cell),
          ),
          hasColour(1),
        ),
      );
    return 0;
  },
});
