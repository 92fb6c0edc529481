import type { EffectEnd } from "./reached.ts";

export interface MailEffect extends EffectEnd {
  readonly kind: "mail";
  readonly connection: string;
  /** `host:port`. */
  readonly server: string;
  /** The pinned address that was dialled; null when none was. */
  readonly address: string | null;
  /** Without angle brackets; null before there is a message. */
  readonly messageId: string | null;
  /** SHA-256 hex of the message as sent; null when none was. */
  readonly messageHash: string | null;
  readonly bytes: number;
  /** SHA-256 hex over the envelope's recipients in ascending order, each with a line feed. */
  readonly recipientsHash: string;
  readonly recipients: number;
  /** Recipients that the server took; null when it did not say. */
  readonly accepted: number | null;
  /** Positions, in to, cc and bcc one after the other from 0, of the recipients that the server refused. */
  readonly refused: readonly number[];
  /** Last SMTP reply code; null without one. */
  readonly status: number | null;
}
