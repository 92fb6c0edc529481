import type { Clock } from "../../core/clock.ts";
import type { HostAnswer } from "../../core/host-call.ts";
import { type RandomSource, uuidv7Maker } from "../../core/ids.ts";
import type { QueueConnection } from "../../core/plan/connections.ts";
import type { QueuePlan } from "../../core/plan.ts";
import { publishFault } from "../../core/publish-rules.ts";
import type { Broker, BrokerJob } from "../broker.ts";
import type { Endpoints } from "../endpoints.ts";
import { HostFailure } from "../failure.ts";
import { openingFailure, replyCode } from "./fault.ts";
import { openSession, type Session } from "./session.ts";

export interface QueueBrokerDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly endpoints: Endpoints;
  readonly connections: ReadonlyMap<string, QueueConnection>;
  /** Until the broker is reached, authenticated and has a channel; milliseconds. */
  readonly connectMs: number;
}

/** Publishes planned messages, each once and over a connection of its own, and waits for the broker's word. */
export class QueueBroker implements Broker<"queue"> {
  private readonly deps: QueueBrokerDeps;
  private readonly newId: () => string;

  constructor(deps: QueueBrokerDeps) {
    this.deps = deps;
    this.newId = uuidv7Maker(() => deps.clock.now(), deps.random);
  }

  async perform(job: BrokerJob<"queue">): Promise<HostAnswer> {
    const { plan, record, signal, limits } = job;
    this.checkConnection(plan);
    if (publishFault(plan) !== null)
      throw new HostFailure("publish_refused", "the message is not one that the broker publishes");
    if (plan.payload.length > limits.requestBytes)
      throw new HostFailure("request_too_large", "payload over the limit");
    const session = await this.open(job);
    record.messageId = this.newId();
    try {
      await this.publish(job, session, record.messageId);
    } catch (thrown) {
      await session.destroy();
      signal.throwIfAborted();
      throw thrown;
    }
    session.leave();
    return { kind: "queue.publish", ok: { messageId: record.messageId } };
  }

  /** Connections live no longer than their call, and the door waits for each call. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  private checkConnection(plan: QueuePlan): void {
    const found = this.deps.connections.get(plan.connection);
    // A held call may come back to another configuration: what was approved is what is reached, or nothing is.
    if (
      found === undefined ||
      !Bun.deepEquals(found.server, plan.server) ||
      found.vhost !== plan.vhost ||
      found.secret !== plan.secret
    )
      throw new HostFailure("connection_missing", "the configuration has no such connection any more");
  }

  private async open({ plan, record, signal, secrets }: BrokerJob<"queue">): Promise<Session> {
    const { endpoints, connectMs, connections } = this.deps;
    const { server, vhost, secret } = plan;
    const ca = connections.get(plan.connection)?.ca ?? null;
    const place = await endpoints.locate(server, ca, "tcp", signal);
    record.address = place.address;
    const password = secret === null ? "" : Buffer.from(secrets.bytes(secret)).toString("utf8");
    try {
      return await openSession({ place, server, vhost, password, connectMs, signal });
    } catch (thrown) {
      endpoints.forget(server.host);
      signal.throwIfAborted();
      throw openingFailure(thrown);
    }
  }

  /** Publisher confirms: a message that cannot be routed comes back before it is confirmed. */
  private async publish(job: BrokerJob<"queue">, session: Session, messageId: string): Promise<void> {
    const { plan, record, signal } = job;
    const { channel, broken } = session;
    let returned = false;
    channel.on("return", (message) => {
      returned ||= message.properties.messageId === messageId;
    });
    const confirmed = new Promise<boolean>((resolve) => {
      signal.throwIfAborted();
      record.reached = "maybe";
      const options = {
        mandatory: true,
        persistent: true,
        messageId,
        contentType: plan.contentType,
        timestamp: Math.floor(this.deps.clock.now() / 1000),
        headers: Object.fromEntries(plan.headers),
      };
      channel.publish(plan.exchange, plan.routingKey, Buffer.from(plan.payload), options, (error) => {
        // The same comes of a channel that has ended; that is told by `broken`, and first.
        if (error === null || error === undefined) resolve(true);
        else if (error.message === "message nacked") resolve(false);
      });
    });
    const ack = await Promise.race([confirmed, brokenAs(broken, record), abortOf(signal)]);
    record.reached = "confirmed";
    record.confirm = !ack ? "nack" : returned ? "returned" : "ack";
    if (!ack) throw new HostFailure("publish_refused", "the broker did not take the message");
    if (returned) throw new HostFailure("unroutable", "no queue takes the message");
  }
}

/** A channel that the broker closes with a code has answered the message; one that breaks has not. */
async function brokenAs(broken: Promise<never>, record: BrokerJob<"queue">["record"]): Promise<never> {
  try {
    return await broken;
  } catch (cause) {
    if (replyCode(cause) === null) throw new HostFailure("connection_reset", "connection broke", { cause });
    record.reached = "confirmed";
    throw new HostFailure("publish_refused", "the broker refused the message", { cause });
  }
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
