import type { Json, JsonObject } from "../core/json.ts";
import { parseMailAddress } from "../core/mail-address.ts";
import type { Header, MailPlan } from "../core/plan.ts";
import { parameterName } from "./body-template.ts";
import { connectionMissing, textOf } from "./connected.ts";
import { isHeaderValue } from "./header-rules.ts";
import type { Manifest, SmtpSection } from "./manifest-schema.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";

/** Makes the one message that checked parameters stand for. */
export function planMail(
  manifest: Manifest,
  section: SmtpSection,
  params: JsonObject,
  context: PlanContext,
): Planned<MailPlan> | PlanRefusal {
  const connection = context.connections?.mail.get(section.connection);
  if (connection === undefined) return connectionMissing("smtp", section.connection);
  const lists = [section.to, section.cc, section.bcc].map((list) => recipientsOf(list, params));
  const refusal = recipientFault(lists, section, connection.domains);
  if (refusal !== null) return refusal;
  const [to, cc, bcc] = lists.map((list) => list ?? []);
  const subject = textOf(section.subject, params);
  if (typeof subject !== "string" || !isLine(subject))
    return refusePlan("invalid_content", "the subject must be one line of text");
  const [text, html] = [section.text, section.html].map((part) => textOf(part, params));
  if (![text, html].every((part) => part === null || isBody(part)))
    return refusePlan("invalid_content", "the body must be text without control characters");
  const headers = headersOf(section, params);
  if (headers === null)
    return refusePlan("header_invalid", "a header value must be visible ascii without outer spaces");
  const bytes = [subject, text ?? "", html ?? ""].reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (bytes > manifest.limits.request_kb * 1024)
    return refusePlan("request_too_large", `the message is larger than ${manifest.limits.request_kb} kb`);
  return {
    ok: true,
    plan: {
      kind: "mail",
      connection: section.connection,
      server: connection.server,
      from: connection.from,
      to: to ?? [],
      cc: cc ?? [],
      bcc: bcc ?? [],
      subject,
      text: text ?? null,
      html: html ?? null,
      headers,
      secret: connection.secret,
    },
    unresolved: { hosts: [], paths: [] },
  };
}

/** Null for a parameter that is not a list of texts. */
function recipientsOf(given: SmtpSection["cc"], params: JsonObject): readonly string[] | null {
  if (given === undefined) return [];
  const list: Json | undefined = Array.isArray(given) ? given : params[given.$param];
  if (list === undefined || list === null) return [];
  return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : null;
}

/** Every recipient is one bare mailbox of a listed domain, and none is named twice. */
function recipientFault(
  lists: readonly (readonly string[] | null)[],
  section: SmtpSection,
  opened: readonly string[] | null,
): PlanRefusal | null {
  const all: string[] = [];
  for (const list of lists) {
    if (list === null) return refusePlan("recipient_invalid", "recipients must be a list of addresses");
    all.push(...list);
  }
  if (lists[0]?.length === 0) return refusePlan("recipient_invalid", "the message has no recipient");
  if (all.length > section.max_recipients)
    return refusePlan("recipient_invalid", `more than ${section.max_recipients} recipients`);
  if (section.domains === undefined && opened === null)
    return refusePlan("recipient_not_allowed", "neither the manifest nor the connection lists domains");
  const seen = new Set<string>();
  for (const text of all) {
    const address = parseMailAddress(text);
    if (address === null) return refusePlan("recipient_invalid", "a recipient is not one bare address");
    const { local, domain } = address;
    for (const patterns of [section.domains, opened])
      if (patterns !== undefined && patterns !== null && !patterns.some((one) => covers(one, domain)))
        return refusePlan("recipient_not_allowed", "a recipient is outside the listed domains");
    const mailbox = `${local}@${domain}`;
    if (seen.has(mailbox)) return refusePlan("recipient_invalid", "a recipient is named twice");
    seen.add(mailbox);
  }
  return null;
}

function covers(pattern: string, domain: string): boolean {
  return pattern.startsWith("*.") ? domain.endsWith(pattern.slice(1)) : domain === pattern;
}

/** A header is a line: whatever could end it, or hide in it, has no place. */
function isLine(text: string): boolean {
  return text !== "" && text.isWellFormed() && text.length <= 998 && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text);
}

function isBody(text: string | undefined): boolean {
  // Tab and line ends are all that mail text has of the control characters.
  return text?.isWellFormed() === true && !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text);
}

/** In the order of their names, so that equal manifests send equal messages. */
function headersOf(section: SmtpSection, params: JsonObject): readonly Header[] | null {
  const headers: Header[] = [];
  for (const name of Object.keys(section.headers).sort()) {
    const value = section.headers[name];
    const parameter = parameterName(value);
    const given = parameter === null ? value : params[parameter];
    if (given === undefined || given === null) continue;
    if (typeof given === "object" || !isHeaderValue(String(given))) return null;
    headers.push([name, String(given)]);
  }
  return headers;
}
