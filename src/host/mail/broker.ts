import { sha256Hex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { HostAnswer } from "../../core/host-call.ts";
import { type RandomSource, uuidv7Maker } from "../../core/ids.ts";
import { parseMailAddress } from "../../core/mail-address.ts";
import type { MailConnection } from "../../core/plan/connections.ts";
import type { MailPlan } from "../../core/plan.ts";
import type { Broker, BrokerJob } from "../broker.ts";
import type { Endpoints, Located } from "../endpoints.ts";
import { HostFailure } from "../failure.ts";
import { connect } from "../http/connect.ts";
import { DeliveryFailure } from "./delivery-failure.ts";
import { buildMessage } from "./message.ts";
import { deliver } from "./session.ts";

/** Most recipients of one message, the three lists together. */
export const MOST_RECIPIENTS = 50;
/** Largest message as sent, bytes. */
export const LARGEST_MESSAGE = 10 * 1024 * 1024;

/** Milliseconds; each also ends with the call's deadline. */
export interface MailTimeouts {
  /** Until the connection stands, with implicit TLS its handshake too. */
  readonly connectMs: number;
  /** Until the greeting, and for the handshake of STARTTLS. */
  readonly greetingMs: number;
  /** Longest silence afterwards. */
  readonly idleMs: number;
}

export const MAIL_TIMEOUTS: MailTimeouts = { connectMs: 5000, greetingMs: 10_000, idleMs: 60_000 };

export interface MailBrokerDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly endpoints: Endpoints;
  readonly connections: ReadonlyMap<string, MailConnection>;
  readonly timeouts: MailTimeouts;
}

/** Sends planned messages, each once and over a connection of its own. */
export class MailBroker implements Broker<"mail"> {
  private readonly deps: MailBrokerDeps;
  private readonly newId: () => string;

  constructor(deps: MailBrokerDeps) {
    this.deps = deps;
    this.newId = uuidv7Maker(() => deps.clock.now(), deps.random);
  }

  async perform(job: BrokerJob<"mail">): Promise<HostAnswer> {
    const { plan, record, signal } = job;
    const connection = this.connection(plan);
    const recipients = checkedRecipients(plan);
    const messageId = `${this.newId()}@${plan.from.slice(plan.from.lastIndexOf("@") + 1)}`;
    const message = await buildMessage(plan, { messageId, date: this.deps.clock.now() });
    if (message.length > LARGEST_MESSAGE)
      throw new HostFailure("request_too_large", "message over the limit");
    record.messageId = messageId;
    const implicit = plan.server.tls === "verify" && plan.server.start === "implicit";
    const { endpoints, timeouts } = this.deps;
    const place = await endpoints.locate(plan.server, connection.ca, implicit ? "tls" : "tcp", signal);
    record.address = place.address;
    const socket = await this.dial(place, plan, signal);
    const positions = (addresses: readonly string[]) =>
      recipients.flatMap((recipient, i) => (addresses.includes(recipient) ? [i] : []));
    try {
      const { refused, status } = await deliver({
        socket,
        server: plan.server,
        trust: place.trust,
        clientName: plan.from.slice(plan.from.lastIndexOf("@") + 1),
        login: login(job),
        from: plan.from,
        recipients,
        message,
        timeouts,
        signal,
        sending: () => {
          record.bytes = message.length;
          record.messageHash = sha256Hex(message);
          record.reached = "maybe";
        },
      });
      record.status = status;
      record.refused = positions(refused);
      record.accepted = recipients.length - record.refused.length;
      record.reached = "confirmed";
    } catch (thrown) {
      if (thrown instanceof DeliveryFailure) {
        record.status = thrown.status;
        record.refused = positions(thrown.refused);
        if (thrown.refused.length > 0) record.accepted = 0;
        // The server had the whole message, and answered that it does not keep it.
        if (thrown.answered && record.reached === "maybe") {
          record.accepted = 0;
          record.reached = "confirmed";
        }
      }
      throw thrown;
    }
    if (record.refused.length > 0)
      throw new HostFailure("recipient_refused", "the server refused some of the recipients");
    return { kind: "smtp.send", ok: { messageId, accepted: recipients.length } };
  }

  /** Connections live no longer than their call, and the door waits for each call. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  private connection(plan: MailPlan): MailConnection {
    const found = this.deps.connections.get(plan.connection);
    // A held call may come back to another configuration: what was approved is what is reached, or nothing is.
    if (
      found === undefined ||
      !Bun.deepEquals(found.server, plan.server) ||
      found.from !== plan.from ||
      found.secret !== plan.secret
    )
      throw new HostFailure("connection_missing", "the configuration has no such connection any more");
    return found;
  }

  private async dial(place: Located, plan: MailPlan, signal: AbortSignal) {
    try {
      return await connect(place.target, this.deps.timeouts.connectMs, signal);
    } catch (thrown) {
      this.deps.endpoints.forget(plan.server.host);
      throw thrown;
    }
  }
}

/** The envelope: every recipient once more held to its strict form, as a list or a line break would add others. */
function checkedRecipients({ from, to, cc, bcc }: MailPlan): readonly string[] {
  const recipients = [...to, ...cc, ...bcc];
  if (recipients.length === 0 || recipients.length > MOST_RECIPIENTS)
    throw new HostFailure("recipient_refused", `a message has 1 to ${MOST_RECIPIENTS} recipients`);
  if (![from, ...recipients].every((address) => parseMailAddress(address) !== null))
    throw new HostFailure("recipient_refused", "an address is not one bare mailbox");
  return recipients;
}

function login({ plan, secrets }: BrokerJob<"mail">) {
  const { user } = plan.server;
  if (user === null || plan.secret === null) return null;
  return { user, password: Buffer.from(secrets.bytes(plan.secret)).toString("utf8") };
}
