import type { JsonObject } from "../core/json.ts";
import type { QueueConnection } from "../core/plan/connections.ts";
import type { Header, QueuePlan } from "../core/plan.ts";
import { publishFault } from "../core/publish-rules.ts";
import { bodyKind, CONTENT_TYPES, parameterName, renderBody } from "./body-template.ts";
import { connectionMissing, textOf } from "./connected.ts";
import type { Manifest, QueueSection } from "./manifest-schema.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";

/** Makes the one message that checked parameters stand for. */
export function planQueue(
  manifest: Manifest,
  section: QueueSection,
  params: JsonObject,
  context: PlanContext,
): Planned<QueuePlan> | PlanRefusal {
  const connection = context.connections?.queue.get(section.connection);
  if (connection === undefined) return connectionMissing("amqp", section.connection);
  const exchange = textOf(section.exchange, params) ?? null;
  const routingKey = textOf(section.routing_key, params) ?? null;
  if (exchange === null || routingKey === null)
    return refusePlan("destination_invalid", "exchange and routing key must be text");
  const payload = renderBody(section.payload, params);
  if (payload === null)
    return refusePlan("invalid_content", "the payload cannot be made from these parameters");
  if (payload.byteLength > manifest.limits.request_kb * 1024)
    return refusePlan("request_too_large", `the payload is larger than ${manifest.limits.request_kb} kb`);
  const headers = headersOf(section, params);
  if (headers === null) return refusePlan("header_invalid", "a header value must be text");
  const contentType = section.content_type ?? CONTENT_TYPES[bodyKind(section.payload)];
  const fault = publishFault({ exchange, routingKey, contentType, headers });
  if (fault !== null) return refusePlan("destination_invalid", fault);
  const refusal = destinationFault(section, connection, exchange, routingKey);
  if (refusal !== null) return refusal;
  return {
    ok: true,
    plan: {
      kind: "queue",
      connection: section.connection,
      server: connection.server,
      vhost: connection.vhost,
      exchange,
      routingKey,
      payload,
      contentType,
      headers,
      secret: connection.secret,
    },
    unresolved: { hosts: [], paths: [] },
  };
}

/** Exchange and key must be in the list of the manifest and in that of the connection, where there are such lists. */
function destinationFault(
  section: QueueSection,
  connection: QueueConnection,
  exchange: string,
  routingKey: string,
): PlanRefusal | null {
  const fixed = typeof section.exchange === "string" ? [section.exchange] : null;
  const fixedKey = typeof section.routing_key === "string" ? [section.routing_key] : null;
  const exchanges = [section.exchanges ?? fixed, connection.exchanges].filter((list) => list !== null);
  const keys = [section.routing_keys ?? null, connection.routingKeys].filter((list) => list !== null);
  if (exchanges.length === 0 || (keys.length === 0 && fixedKey === null))
    return refusePlan(
      "destination_not_allowed",
      "neither the manifest nor the connection lists exchanges and routing keys",
    );
  if (!exchanges.every((list) => list.includes(exchange)))
    return refusePlan("destination_not_allowed", "the exchange is not listed");
  if (!keys.every((list) => list.some((pattern) => covers(pattern, routingKey))))
    return refusePlan("destination_not_allowed", "the routing key is not listed");
  return null;
}

function covers(pattern: string, key: string): boolean {
  return pattern.endsWith("*") ? key.startsWith(pattern.slice(0, -1)) : key === pattern;
}

/** In the order of their names, so that equal manifests send equal messages. */
function headersOf(section: QueueSection, params: JsonObject): readonly Header[] | null {
  const headers: Header[] = [];
  for (const name of Object.keys(section.headers).sort()) {
    const value = section.headers[name];
    const parameter = parameterName(value);
    const given = parameter === null ? value : params[parameter];
    if (given === undefined || given === null) continue;
    if (typeof given === "object") return null;
    headers.push([name, String(given)]);
  }
  return headers;
}
