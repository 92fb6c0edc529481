import { fromBase64, sha256Hex } from "../../core/bytes.ts";
import type { FsEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import type { FsPlan } from "../../core/plan.ts";

/**
 * What contradicts the plan. Where claims are optional a component may leave out what it read, but not tell it
 * wrongly: what it answers with is its own affair, what happened is not.
 */
export function fsFaults(effect: FsEffect, plan: FsPlan, raw: Json, claimsOptional: boolean): string[] {
  const faults: string[] = [];
  const wants = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  wants(effect.operation === plan.operation, "the observed operation is not the planned one");
  wants(effect.path === plan.path, "the observed path is not the planned one");
  const claim = isJsonObject(raw) ? raw : {};
  const says = (member: string, hash: string | null) => hash !== null && claim[member] === `sha256:${hash}`;
  const { beforeHash, afterHash } = effect;
  wants(claim.ok === true && claim.path === plan.path, "the provider does not report success for the path");
  switch (plan.operation) {
    case "read": {
      const hash = afterHash ?? beforeHash;
      wants(
        hash !== null && (beforeHash === null || beforeHash === hash),
        "the host has no hash of what was read",
      );
      const silent = (member: string) => claimsOptional && claim[member] === undefined;
      wants(silent("hash") || says("hash", hash), "the provider reports another hash than was observed");
      const encoded = claim.content_base64;
      const content = typeof encoded === "string" ? fromBase64(encoded) : null;
      wants(
        silent("content_base64") || (content !== null && sha256Hex(content) === hash),
        "the provider reports other content than was read",
      );
      return faults;
    }
    case "create":
    case "overwrite": {
      const planned = plan.content === null ? null : sha256Hex(plan.content);
      wants(afterHash !== null && afterHash === planned, "the written content is not the planned one");
      wants(says("after_hash", afterHash), "the provider reports another hash than was observed");
      if (plan.operation === "create") wants(beforeHash === null, "the created file was there before");
      else wants(beforeHash !== null, "the host has no hash of the old content");
      break;
    }
    case "delete":
      wants(beforeHash !== null && afterHash === null, "the host has no hash of what was deleted");
      wants(claim.deleted === true, "the provider does not report the deletion");
  }
  if (plan.expectedBeforeHash !== null)
    wants(beforeHash === plan.expectedBeforeHash, "the old content is not the expected one");
  return faults;
}
