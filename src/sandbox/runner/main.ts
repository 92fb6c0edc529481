import { messageOf } from "../../core/errors.ts";
import { type Channel, openChannel } from "../protocol/channel.ts";
import { FRAME, ProtocolError } from "../protocol/frame.ts";
import { decodeExecute, decodeLoad, PROTOCOL_VERSION } from "../protocol/message.ts";
import { WireWriter } from "../protocol/value.ts";
import { VALIDATE_MODE, validateMain } from "../validate.ts";
import { RunnerCall } from "./call.ts";
import { LoadedComponent } from "./component.ts";
import { promiseIntegration } from "./jspi.ts";
import { dieWithParent, requireSmallMemories } from "./preconditions.ts";

/** Where the gate's end of the socket pair is. */
const CHANNEL_FD = 3;
/** What the gate sends is bounded by the gate. */
const LONGEST_FRAME = 2 ** 30;

/**
 * A runner process: executes components for the gate and speaks to nobody else. It first makes sure of what it
 * relies on, then says hello, and only then is given anything that others wrote. It ends with its pipe or its parent.
 */
export async function runnerMain(): Promise<void> {
  if (process.argv.at(-1) === VALIDATE_MODE) return validateMain();
  const runner = new Runner();
  const channel = await openChannel(CHANNEL_FD, {
    limit: () => LONGEST_FRAME,
    frame: (kind, call, payload) => runner.frame(kind, call, payload),
    closed: (cause) => process.exit(cause === null ? 0 : 1),
  });
  runner.attach(channel);
  try {
    dieWithParent();
    promiseIntegration();
    requireSmallMemories();
  } catch (error) {
    channel.send(FRAME.fatal, 0, Buffer.from(messageOf(error).slice(0, 512)));
    await channel.flushed();
    process.exit(1);
  }
  const hello = new WireWriter();
  hello.u32(PROTOCOL_VERSION);
  channel.send(FRAME.hello, 0, hello.done());
}

class Runner {
  private channel: Channel | null = null;
  private readonly components = new Map<number, LoadedComponent>();
  private readonly calls = new Map<number, RunnerCall>();

  attach(channel: Channel): void {
    this.channel = channel;
  }

  frame(kind: number, call: number, payload: Uint8Array): void {
    switch (kind) {
      case FRAME.load: {
        const { component, plan, cores } = decodeLoad(payload);
        this.components.set(component, new LoadedComponent(plan, cores));
        return;
      }
      case FRAME.execute:
        this.execute(call, payload);
        return;
      case FRAME.answer:
        // A call that has ended meanwhile takes no answer.
        this.calls.get(call)?.answer(payload);
        return;
      case FRAME.cancel:
        this.calls.get(call)?.cancel();
        this.send(FRAME.cancelled, call);
        return;
      default:
        throw new ProtocolError(`frame of unknown kind ${kind}`);
    }
  }

  private execute(id: number, payload: Uint8Array): void {
    const message = decodeExecute(payload);
    const component = this.components.get(message.component);
    if (component === undefined) throw new ProtocolError("component is not loaded");
    const call = new RunnerCall(message, {
      send: (kind, ...parts) => this.send(kind, id, ...parts),
      over: () => this.calls.delete(id),
    });
    this.calls.set(id, call);
    void call.run(component); // never rejects: whatever goes wrong is an end of the call
  }

  private send(kind: number, call: number, ...parts: readonly Uint8Array[]): void {
    if (this.channel === null) throw new ProtocolError("no channel yet");
    this.channel.send(kind, call, ...parts);
  }
}
