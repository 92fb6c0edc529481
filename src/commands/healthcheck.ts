import { openAgent } from "../client/open.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { cell, printJson, printLine } from "./output.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: { name: "healthcheck", description: "Whether the gate is ready, for supervisors and containers" },
  args: DIR_FLAG,
  async run({ args }) {
    const client = await openAgent(surroundings(args));
    const { ready, body } = await client.ready();
    if (args.json) await printJson(body);
    if (!ready) throw new EndedError(EXIT.error, "not_ready", "the gate runs and is not ready");
    if (!args.json) await printLine(cell(body.status));
    return 0;
  },
});
