import { sha256Hex } from "../../core/bytes.ts";
import type { MailEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import type { MailPlan } from "../../core/plan.ts";
import { Faults } from "./faults.ts";

export function mailFaults(effect: MailEffect, plan: MailPlan, raw: Json): readonly string[] {
  const faults = new Faults();
  const claim = isJsonObject(raw) ? raw : {};
  const recipients = [...plan.to, ...plan.cc, ...plan.bcc].sort();
  const listed = sha256Hex(recipients.map((recipient) => `${recipient}\n`).join(""));
  faults.wants(effect.connection === plan.connection, "the observed connection is not the planned one");
  faults.wants(effect.recipientsHash === listed, "the observed recipients are not the planned ones");
  faults.wants(effect.accepted === recipients.length, "the server did not take every recipient");
  faults.wants(
    effect.messageId !== null && effect.messageHash !== null,
    "the host has no hash of a message that was sent",
  );
  faults.wants(claim.ok === true, "the provider does not report success");
  faults.wants(claim.message_id === effect.messageId, "the provider reports another message than was sent");
  return faults.list;
}
