import type { JsonObject } from "../json.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Header } from "./http.ts";

export interface MailServer extends Endpoint {
  /** TLS from the first byte, or begun by STARTTLS; without effect when `tls` is off. */
  readonly start: "implicit" | "starttls";
}

export interface MailPlan {
  readonly kind: "mail";
  /** Name of the `[[connections.smtp]]` entry. */
  readonly connection: string;
  readonly server: MailServer;
  /** Bare addr-specs (RFC 5321), one mailbox each. */
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly subject: string;
  readonly text: string | null;
  readonly html: string | null;
  /** Additional headers, lower-case names in the order sent. */
  readonly headers: readonly Header[];
  /** Name of the secret that holds the password; null for none. */
  readonly secret: string | null;
}

export function mailPlanToJson(plan: MailPlan) {
  return {
    kind: plan.kind,
    connection: plan.connection,
    server: { ...plan.server },
    from: plan.from,
    to: [...plan.to],
    cc: [...plan.cc],
    bcc: [...plan.bcc],
    subject: plan.subject,
    text: plan.text,
    html: plan.html,
    headers: plan.headers.map(([name, value]): [string, string] => [name, value]),
    secret: plan.secret,
  } satisfies JsonObject;
}

export function mailPlanFromJson(stored: ReturnType<typeof mailPlanToJson>): MailPlan {
  return stored;
}
