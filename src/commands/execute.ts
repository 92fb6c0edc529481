import type { AgentClient } from "../client/agent.ts";
import type { Outcome } from "../client/answers.ts";
import { GateError } from "../client/errors.ts";
import { openAgent } from "../client/open.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { EndedError, EXIT, exitCodeFor, UsageError } from "./exit-code.ts";
import { printOutcome } from "./outcome.ts";
import { note, safe } from "./output.ts";
import { buildParams, needsSchema, readParams, readWord } from "./params.ts";
import { readSource } from "./source.ts";
import { surroundings } from "./surroundings.ts";

/** As long as a hold stands by default, seconds. */
const DEFAULT_WAIT_S = 300;
const LONGEST_WAIT_S = 86_400;

export default defineCommand({
  meta: { name: "execute", description: "Run one action through the gate" },
  args: {
    action: { type: "positional", description: "Action id, see latchgate actions" },
    params: {
      type: "string",
      description: "Parameters as a JSON object, from a file or stdin",
      valueHint: "JSON|@FILE|-",
    },
    wait: {
      type: "string",
      description: `Wait for an approval and print its result, ${DEFAULT_WAIT_S} s unless --wait=SECONDS says otherwise`,
      valueHint: "SECONDS",
      optionalValue: true,
    },
    "idempotency-key": {
      type: "string",
      description: "Repeating the call with this key returns the first result",
      valueHint: "KEY",
    },
    "dry-run": { type: "boolean", description: "Decision, reasons and plan; no effect" },
    ...DIR_FLAG,
  },
  rest: "name=value      typed by the action's schema\n  name:=json      any JSON value\n  name=@file      a file's content",
  async run({ args, rest }) {
    const waitSeconds = args.wait === undefined ? null : readWait(args.wait);
    if (waitSeconds !== null && args["dry-run"])
      throw new UsageError("--wait and --dry-run exclude each other");
    const words = rest.map(readWord);
    const base = args.params === undefined ? {} : readParams(paramsText(args.params));
    const client = await openAgent(surroundings(args));
    const bySchema = words.some(needsSchema);
    const schema = bySchema ? await client.cachedSchema(args.action) : null;
    const params = buildParams(base, words, schema, readSource);
    const options = { idempotencyKey: args["idempotency-key"], dryRun: args["dry-run"] };
    const outcome = await client.execute(args.action, params, options).catch(async (error: unknown) => {
      throw bySchema ? await withStaleSchema(client, args.action, error) : error;
    });
    if (outcome.kind !== "held" || waitSeconds === null) return printOutcome(outcome, args.json);
    if (!args.json) note(`held for approval ${safe(outcome.approvalId)}; waiting up to ${waitSeconds} s`);
    return printOutcome(await approved(client, outcome, waitSeconds), args.json);
  },
});

/** Values were typed by a remembered schema; when that has changed since, the same command means something else now. */
async function withStaleSchema(client: AgentClient, action: string, error: unknown): Promise<unknown> {
  if (!(error instanceof GateError) || error.status !== 422 || error.mayHaveRun) return error;
  if (!(await client.schemaHasChanged(action))) return error;
  return new EndedError(
    EXIT.error,
    error.code,
    error.message,
    "the action's parameters have changed since they were last read; run the command again",
  );
}

function paramsText(value: string): string | Uint8Array {
  if (value === "-") return readSource("-");
  return value.startsWith("@") ? readSource(value.slice(1)) : value;
}

function readWait(text: string): number {
  if (text === "") return DEFAULT_WAIT_S;
  const seconds = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || seconds > LONGEST_WAIT_S)
    throw new UsageError(`--wait takes whole seconds up to ${LONGEST_WAIT_S}`);
  return seconds;
}

/** Polls until the hold is decided. Returns it as still held when the time is over; nothing is lost by that. */
async function approved(
  client: AgentClient,
  held: Extract<Outcome, { kind: "held" }>,
  seconds: number,
): Promise<Outcome> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const state = await client.poll(held.approvalId).catch((error: unknown) => {
      throw lostSight(error, held.approvalId);
    });
    switch (state.kind) {
      case "done":
        return state.outcome;
      case "ended":
        throw new EndedError(
          state.status === "failed" ? EXIT.error : EXIT.denied,
          `approval_${state.status}`,
          `the call did not run: ${state.reason}`,
        );
      case "unconfirmed":
        throw new EndedError(
          EXIT.unconfirmed,
          `approval_${state.status}`,
          `the call was dispatched and is not confirmed: ${state.reason}`,
          `look at it with: latchgate approvals show ${held.approvalId}`,
        );
    }
    const left = end - performance.now();
    if (left <= 0) return held;
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, state.retryAfterSeconds * 1000)));
  }
}

/** The hold stands and may be approved while nobody watches; whoever reads the error needs its id. */
function lostSight(error: unknown, approvalId: string): unknown {
  if (error instanceof GateError && error.status === 404)
    return new EndedError(
      EXIT.held,
      "approval_not_found",
      `the gate no longer tells about the approval ${approvalId}`,
    );
  if (!(error instanceof Error)) return error;
  return new EndedError(
    exitCodeFor(error) === EXIT.unreachable ? EXIT.unreachable : EXIT.held,
    "code" in error && typeof error.code === "string" ? error.code : "wait_failed",
    `waiting for the approval ${approvalId} failed: ${error.message}`,
    `it may still be approved: latchgate approvals show ${approvalId}`,
  );
}
