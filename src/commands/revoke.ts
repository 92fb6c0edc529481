import { openOperator } from "../client/open.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { cell, printJson, printLine } from "./output.ts";
import { confirm } from "./prompt.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: {
    name: "revoke",
    description: "Kill switch: make every lease, hold and grant worthless, or one key of the log",
  },
  args: {
    all: { type: "boolean", description: "Everything that was given until now" },
    key: {
      type: "string",
      description: "This key of the log; needs the checkpoint up to which it stands, and the recovery key",
      valueHint: "KID",
    },
    checkpoint: { type: "string", description: "With --key: a signed checkpoint", valueHint: "FILE" },
    "recovery-key": { type: "string", description: "With --key: the recovery key", valueHint: "FILE" },
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    if (args.key !== undefined) return revokeOneKey(args, args.key);
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

interface KeyFlags {
  readonly all: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  readonly checkpoint: string | undefined;
  readonly "recovery-key": string | undefined;
  readonly dir: string | undefined;
  readonly operator: string | undefined;
}

async function revokeOneKey(args: KeyFlags, key: string): Promise<number> {
  const { checkpoint, "recovery-key": recoveryKey } = args;
  if (args.all) throw new UsageError("--all and --key exclude each other");
  if (checkpoint === undefined || recoveryKey === undefined)
    throw new UsageError("--key needs --checkpoint FILE and --recovery-key FILE");
  confirm("What the key signed after the checkpoint will be nobody's word, for good.", args.yes);
  const { revokeKey } = await import("./revoke-key.ts");
  const { dir, operator } = args;
  const done = await revokeKey({ key, checkpoint, recoveryKey, dir, operator });
  if (args.json) await printJson({ ok: true, ...done });
  else
    await printLine(
      [
        `${done.purpose} key ${cell(done.kid)} is revoked: what it signed stands up to entry ${done.size - 1}`,
        ...(done.successor === null ? [] : [`${cell(done.successor)} signs from now on`]),
        ...done.also_replaced.map((purpose) => `the ${purpose} key is replaced as well`),
      ].join("\n"),
    );
  return 0;
}
