import { AgentClient } from "../client/agent.ts";
import { ClientError, GateError } from "../client/errors.ts";
import { locateGate } from "../client/locate.ts";
import { operatorAt } from "../client/open.ts";
import { stateDir } from "../client/state.ts";
import { systemClock } from "../core/clock.ts";
import type { JsonObject } from "../core/json.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { fields, note, printJson, printLine, safe } from "./output.ts";
import { surroundings } from "./surroundings.ts";

/** There is nobody to act as here, for a reason that the note tells. */
const NO_OPERATOR: ReadonlySet<string> = new Set(["operator_unknown", "operator_key", "gate_not_configured"]);

export default defineCommand({
  meta: { name: "status", description: "How the gate is: in full for operators, ready or not for others" },
  args: OPERATOR_FLAGS,
  async run({ args }) {
    const around = surroundings(args);
    const location = await locateGate(around);
    const agent = new AgentClient({
      gate: location.client,
      stateDir: stateDir(around.env),
      clock: systemClock,
    });
    const { ready, body } = await agent.ready();
    let full: JsonObject | null = null;
    try {
      full = await (await operatorAt(location, around)).status();
    } catch (error) {
      // Whoever asks to act as an operator hears why that failed; others get what everyone may know.
      if (args.operator !== undefined || !isNoOperator(error)) throw error;
      if (!args.json) note(`only what everyone may know: ${safe(error.message)}`);
    }
    const shown = full === null ? body : { ...body, ...full };
    if (args.json) await printJson(shown);
    else await printLine(fields(Object.entries(shown)));
    if (!ready) throw new EndedError(EXIT.error, "not_ready", "the gate runs and is not ready");
    return 0;
  },
});

function isNoOperator(error: unknown): error is Error {
  if (error instanceof GateError) return error.status === 401 || error.status === 403;
  return error instanceof ClientError && NO_OPERATOR.has(error.code);
}
