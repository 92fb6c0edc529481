import { openAgent } from "../client/open.ts";
import type { JsonObject } from "../core/json.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { cell, fields, hasColour, jsonText, printJson, printLine, table } from "./output.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: { name: "actions", description: "List the actions that the gate offers, or describe one" },
  args: {
    id: { type: "positional", description: "Action id", required: false },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const client = await openAgent(surroundings(args));
    if (args.id === undefined) {
      const actions = await client.actions();
      if (args.json) await printJson({ actions });
      else await printLine(table(["ACTION", "VERSION", "RISK"], actions.map(row), hasColour(1)));
      return 0;
    }
    const [action, schema] = await Promise.all([client.action(args.id), client.requestSchema(args.id)]);
    if (args.json) await printJson({ ...action, request_schema: schema });
    else {
      await printLine(fields(Object.entries(action)));
      if (schema !== null) await printLine(`\nparameters:\n${jsonText(schema, true)}`);
    }
    return 0;
  },
});

function row(action: JsonObject): string[] {
  return [cell(action.action_id), cell(action.version), cell(action.risk_level)];
}
