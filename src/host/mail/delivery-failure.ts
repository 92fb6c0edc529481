import type { HostErrorCode } from "../../core/effect.ts";
import { HostFailure } from "../failure.ts";

/** A delivery that failed, with what the server said last. */
export class DeliveryFailure extends HostFailure {
  /** SMTP reply code; null without one. */
  readonly status: number | null;
  /** Recipients that the server refused before it failed. */
  readonly refused: readonly string[];
  /** The server has answered the end of the message, and refused it. */
  readonly answered: boolean;

  constructor(code: HostErrorCode, about: Omit<ErrorFacts, "code" | "command">, options: { cause: unknown }) {
    super(code, "the message was not delivered", options);
    this.status = about.status;
    this.refused = about.refused;
    this.answered = code === "message_refused" && about.status !== null;
  }
}

interface ErrorFacts {
  readonly code: string;
  readonly command: string;
  readonly status: number | null;
  readonly refused: readonly string[];
}

/** What went wrong in a session. The server controls the texts of the cause, which go no further. */
export function deliveryFailure(thrown: unknown, upgrading: boolean): DeliveryFailure {
  const facts = factsOf(thrown);
  return new DeliveryFailure(codeOf(facts, upgrading), facts, { cause: thrown });
}

function codeOf({ code, command, refused, status }: ErrorFacts, upgrading: boolean): HostErrorCode {
  switch (code) {
    case "EAUTH":
      return status === null && command !== "API" ? "connection_reset" : "authentication_failed";
    case "ETLS":
      return "tls_failed";
    case "ETIMEDOUT":
      return upgrading ? "connect_timeout" : "idle_timeout";
    case "EENVELOPE":
      return refused.length > 0 ? "recipient_refused" : "message_refused";
    case "EMESSAGE":
      return status === null ? "request_too_large" : "message_refused";
    case "EPROTOCOL":
      return "malformed_response";
    default:
      return upgrading ? "tls_failed" : "connection_reset";
  }
}

function factsOf(thrown: unknown): ErrorFacts {
  const from: Readonly<Record<string, unknown>> =
    typeof thrown === "object" && thrown !== null ? { ...thrown } : {};
  const { code, command, responseCode, rejected } = from;
  return {
    code: typeof code === "string" ? code : "",
    command: typeof command === "string" ? command : "",
    status: typeof responseCode === "number" ? responseCode : null,
    refused: Array.isArray(rejected) ? rejected.filter((one) => typeof one === "string") : [],
  };
}
