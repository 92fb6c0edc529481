import { fromBase64, sha256Hex } from "../../core/bytes.ts";
import type { StorageEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import type { StoragePlan } from "../../core/plan.ts";
import { Faults } from "./faults.ts";

export function storageFaults(effect: StorageEffect, plan: StoragePlan, raw: Json): readonly string[] {
  const faults = new Faults();
  const claim = isJsonObject(raw) ? raw : {};
  faults.wants(effect.operation === plan.operation, "the observed operation is not the planned one");
  faults.wants(effect.connection === plan.connection, "the observed connection is not the planned one");
  faults.wants(
    effect.bucket === plan.bucket && effect.key === plan.key,
    "the observed object is not the planned one",
  );
  faults.wants(claim.ok === true, "the provider does not report success");
  faults.wants(claim.etag === effect.etag, "the provider reports another etag than was observed");
  switch (plan.operation) {
    case "put": {
      const planned = plan.content === null ? null : sha256Hex(plan.content);
      faults.wants(
        planned !== null && effect.requestHash === planned,
        "the written content is not the planned one",
      );
      break;
    }
    case "get": {
      const encoded = claim.content_base64;
      const content = typeof encoded === "string" ? fromBase64(encoded) : null;
      faults.wants(
        content !== null && sha256Hex(content) === effect.responseHash,
        "the provider reports other content than was read",
      );
    }
  }
  return faults.list;
}
