import type { Channel } from "../protocol/channel.ts";
import { FRAME, ProtocolError } from "../protocol/frame.ts";
import { decodeExecute, decodeLoad } from "../protocol/message.ts";
import { RunnerCall } from "./call.ts";
import { LoadedComponent } from "./component.ts";

/** The components and the calls of this process, by the numbers that the gate gave them. */
export class Runner {
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
