import type { QueuePlan } from "./plan.ts";

/** AMQP 0-9-1 §4.2.5.3: a short string has at most 255 bytes. */
const LONGEST_SHORT_STRING = 255;
const MOST_HEADERS = 32;
const LONGEST_HEADER = 4096;

/** Names that every broker takes (AMQP 0-9-1 §1.5, `exchange-name`); empty for the default exchange. */
export function isExchangeName(text: string): boolean {
  return /^[A-Za-z0-9._:-]{0,127}$/.test(text);
}

export function isRoutingKey(text: string): boolean {
  return text.length > 0 && text.length <= LONGEST_SHORT_STRING && /^[\x21-\x7e]+$/.test(text);
}

/**
 * Of a message's own headers: RabbitMQ routes copies to what `CC` and `BCC` name, whatever the routing key says, so only
 * names that begin with `x-` are taken.
 */
export function isMessageHeader(name: string): boolean {
  return /^x-[a-z0-9-]{1,60}$/.test(name);
}

/** Why a plan is nothing to publish, or null. */
export function publishFault(
  plan: Pick<QueuePlan, "exchange" | "routingKey" | "contentType" | "headers">,
): string | null {
  if (!isExchangeName(plan.exchange)) return "the exchange is not the name of one";
  if (!isRoutingKey(plan.routingKey)) return "the routing key must be 1 to 255 visible ascii characters";
  if (!/^[\x20-\x7e]{1,128}$/.test(plan.contentType)) return "the content type is not one";
  if (plan.headers.length > MOST_HEADERS) return `more than ${MOST_HEADERS} headers`;
  if (new Set(plan.headers.map(([name]) => name)).size !== plan.headers.length)
    return "a header is named twice";
  for (const [name, value] of plan.headers)
    if (!isMessageHeader(name) || value.length > LONGEST_HEADER || !/^[\x20-\x7e]*$/.test(value))
      return "a header is not one of the message's own";
  return null;
}
