import type { EffectEnd } from "./reached.ts";

export interface QueueEffect extends EffectEnd {
  readonly kind: "queue";
  readonly connection: string;
  /** `host:port`. */
  readonly server: string;
  readonly vhost: string;
  readonly exchange: string;
  readonly routingKey: string;
  /** The pinned address that was dialled; null when none was. */
  readonly address: string | null;
  readonly messageId: string | null;
  readonly payloadBytes: number;
  /** SHA-256 hex. */
  readonly payloadHash: string;
  /** What the broker said of the message; null when it said nothing. */
  readonly confirm: "ack" | "nack" | "returned" | null;
}
