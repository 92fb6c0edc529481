import { messageOf } from "../../core/errors.ts";
import { VERDICT } from "../lock/bpf.ts";
import { LAYER_TEXT, type MissingLayer } from "../lock/layers.ts";
import { type LockOptions, lockProcess } from "../lock/lock.ts";
import { openChannel } from "../protocol/channel.ts";
import { FRAME } from "../protocol/frame.ts";
import { encodeFatal, encodeHello, type FatalMessage, PROTOCOL_VERSION } from "../protocol/message.ts";
import { RUNNER_MODE } from "../runner-command.ts";
import { validateMain } from "../validate.ts";
import { promiseIntegration } from "./jspi.ts";
import { requireSmallMemories } from "./preconditions.ts";
import { probeMain } from "./probe.ts";
import { Runner } from "./runner.ts";

/** Where the gate's end of the socket pair is. */
const CHANNEL_FD = 3;
/** What the gate sends is bounded by the gate. */
const LONGEST_FRAME = 2 ** 30;

/** What the hidden subcommand does, by the words after it. */
export async function runnerMain(words: readonly string[]): Promise<void> {
  switch (words[0]) {
    case RUNNER_MODE.locked:
      return serve(true, lockProcess);
    case RUNNER_MODE.unlocked:
      return serve(false, lockProcess);
    case RUNNER_MODE.validate:
      return validateMain(words[1]);
    case RUNNER_MODE.probe:
      return probeMain(words.slice(1));
    default:
      throw new Error("the runner is started by the gate");
  }
}

/**
 * A runner process: executes components for the gate and speaks to nobody else. It first makes sure of what it
 * relies on, then locks itself, then says hello, and only then is given anything that others wrote. It ends with its
 * pipe or its parent.
 * @param strict whether a layer that is not in force is the end.
 */
export async function serve(
  strict: boolean,
  lock: (options: LockOptions) => readonly MissingLayer[],
): Promise<void> {
  const runner = new Runner();
  const channel = await openChannel(CHANNEL_FD, {
    limit: () => LONGEST_FRAME,
    frame: (kind, call, payload) => runner.frame(kind, call, payload),
    closed: (cause) => process.exit(cause === null ? 0 : 1),
  });
  runner.attach(channel);
  const refuse = async (message: FatalMessage) => {
    channel.send(FRAME.fatal, 0, ...encodeFatal(message));
    await channel.flushed();
    process.exit(1);
  };
  try {
    promiseIntegration();
    requireSmallMemories();
  } catch (error) {
    return refuse({ locked: true, detail: messageOf(error) });
  }
  const missing = lock({ keep: [CHANNEL_FD], otherwise: VERDICT.killProcess });
  if (strict && missing.length > 0)
    return refuse({
      locked: false,
      detail: missing.map(({ layer, reason }) => `${layer} (${LAYER_TEXT[layer]}): ${reason}`).join("; "),
    });
  const hello = encodeHello({ version: PROTOCOL_VERSION, missing: missing.map(({ layer }) => layer) });
  channel.send(FRAME.hello, 0, hello);
}
