import type { HostErrorCode } from "../../core/effect.ts";
import { HostFailure } from "../failure.ts";

/** What went wrong before a message was published. The broker controls the texts of the cause, which go no further. */
export function openingFailure(thrown: unknown): HostFailure {
  if (thrown instanceof HostFailure) return thrown;
  return new HostFailure(openingCode(thrown), "no channel to the broker", { cause: thrown });
}

function openingCode(thrown: unknown): HostErrorCode {
  if (replyCode(thrown) === 403) return "authentication_failed";
  const { code, message } = textsOf(thrown);
  // In place of open-ok: the virtual host is not there, or not for this account.
  if (/^Expected ConnectionOpenOk; got <ConnectionClose /.test(message)) return "permission_denied";
  if (/ETIMEDOUT/.test(message)) return "connect_timeout";
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_|DEPTH_|SELF_SIGNED|HOSTNAME_)/.test(code)) return "tls_failed";
  return "connection_reset";
}

/**
 * The code with which a broker closed a channel or connection (AMQP 0-9-1 §1.2), such as 404 for an exchange that is not
 * there; null when it did not say one.
 */
export function replyCode(thrown: unknown): number | null {
  if (typeof thrown === "object" && thrown !== null && "code" in thrown && typeof thrown.code === "number")
    return thrown.code;
  const { message } = textsOf(thrown);
  const found = /terminated by server: (\d{3}) /.exec(message);
  return found === null ? null : Number(found[1]);
}

function textsOf(thrown: unknown): { code: string; message: string } {
  if (!(thrown instanceof Error)) return { code: "", message: "" };
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : "";
  return { code, message: thrown.message };
}
