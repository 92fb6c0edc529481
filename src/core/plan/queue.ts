import type { JsonObject } from "../json.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Header } from "./http.ts";
import { decodeBytes, encodeBytes } from "./stored-bytes.ts";

export interface QueuePlan {
  readonly kind: "queue";
  /** Name of the `[[connections.amqp]]` entry. */
  readonly connection: string;
  readonly server: Endpoint;
  readonly vhost: string;
  /** Empty for the default exchange, where the routing key is the name of a queue. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly headers: readonly Header[];
  /** Name of the secret that holds the password; null for none. */
  readonly secret: string | null;
}

export function queuePlanToJson(plan: QueuePlan) {
  return {
    kind: plan.kind,
    connection: plan.connection,
    server: { ...plan.server },
    vhost: plan.vhost,
    exchange: plan.exchange,
    routing_key: plan.routingKey,
    payload: encodeBytes(plan.payload),
    content_type: plan.contentType,
    headers: plan.headers.map(([name, value]): [string, string] => [name, value]),
    secret: plan.secret,
  } satisfies JsonObject;
}

export function queuePlanFromJson(stored: ReturnType<typeof queuePlanToJson>): QueuePlan {
  const { routing_key: routingKey, content_type: contentType, payload, ...plan } = stored;
  return { ...plan, routingKey, contentType, payload: decodeBytes(payload) };
}
