import { sha256Hex } from "../../core/bytes.ts";
import { canonicalJson } from "../../core/canonical-json.ts";
import type { DatabaseEffect } from "../../core/effect.ts";
import { isJsonObject, type Json } from "../../core/json.ts";
import { databaseTargetText } from "../../core/plan/database.ts";
import type { DatabasePlan } from "../../core/plan.ts";
import { Faults } from "./faults.ts";

/** Rows are compared by the hash of their canonical JSON (RFC 8785), which is the form that the host hands out. */
export function databaseFaults(effect: DatabaseEffect, plan: DatabasePlan, raw: Json): readonly string[] {
  const faults = new Faults();
  const claim = isJsonObject(raw) ? raw : {};
  const parameters = canonicalJson(plan.parameters.map(({ kind, value }) => ({ kind, value })));
  faults.wants(effect.connection === plan.connection, "the observed connection is not the planned one");
  faults.wants(
    effect.target === databaseTargetText(plan.target),
    "the observed database is not the planned one",
  );
  faults.wants(
    effect.statementHash === sha256Hex(plan.statement),
    "the observed statement is not the planned one",
  );
  faults.wants(
    effect.parametersHash === sha256Hex(parameters),
    "the observed parameters are not the planned ones",
  );
  faults.wants(effect.rows !== null && effect.rows <= plan.maxRows, "more rows came back than planned");
  faults.wants(
    effect.affected !== null && effect.affected <= plan.maxAffected,
    "more rows were changed than planned",
  );
  faults.wants(claim.ok === true, "the provider does not report success");
  faults.wants(claim.affected === effect.affected, "the provider reports another number of changed rows");
  faults.wants(
    claim.rows !== undefined && sha256Hex(canonicalJson(claim.rows)) === effect.resultHash,
    "the provider reports other rows than were observed",
  );
  return faults.list;
}
