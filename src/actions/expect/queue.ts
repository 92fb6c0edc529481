import { sha256Hex } from "../../core/bytes.ts";
import type { QueueEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import type { QueuePlan } from "../../core/plan.ts";
import { Faults } from "./faults.ts";

export function queueFaults(effect: QueueEffect, plan: QueuePlan, raw: Json): readonly string[] {
  const faults = new Faults();
  const claim = isJsonObject(raw) ? raw : {};
  faults.wants(effect.connection === plan.connection, "the observed connection is not the planned one");
  faults.wants(
    effect.vhost === plan.vhost && effect.exchange === plan.exchange,
    "the observed exchange is not the planned one",
  );
  faults.wants(effect.routingKey === plan.routingKey, "the observed routing key is not the planned one");
  faults.wants(effect.payloadHash === sha256Hex(plan.payload), "the observed payload is not the planned one");
  faults.wants(effect.confirm === "ack", "the broker did not confirm the message");
  faults.wants(claim.ok === true, "the provider does not report success");
  faults.wants(claim.message_id === effect.messageId, "the provider reports another message than was sent");
  return faults.list;
}
