import type { HttpMethod } from "../core/plan.ts";
import type { Finding } from "./load-problem.ts";
import { type Manifest, RISK_LEVELS, type RiskLevel } from "./manifest-schema.ts";

/** The effects that the built-in brokers can have, and the lowest risk of each. Other labels imply nothing. */
export const EFFECT_RISK: Readonly<Record<string, RiskLevel>> = {
  http_read: "low",
  fs_read: "low",
  http_write: "medium",
  http_delete: "high",
  fs_write: "high",
  fs_delete: "critical",
  db_read: "medium",
  db_write: "high",
  mail_send: "high",
  queue_publish: "high",
  storage_read: "medium",
  storage_write: "high",
};

/** The lowest risk that an HTTP method implies by itself (RFC 9110 §9.2.1: safe methods). */
export const METHOD_RISK: Readonly<Record<HttpMethod, RiskLevel>> = {
  GET: "low",
  HEAD: "low",
  OPTIONS: "low",
  POST: "medium",
  PUT: "medium",
  PATCH: "medium",
  DELETE: "high",
};

const FS_EFFECTS = { read: "fs_read", write: "fs_write", delete: "fs_delete" } as const;

const DATABASE_EFFECTS = { read: "db_read", write: "db_write" } as const;
const STORAGE_EFFECTS = { put: "storage_write", get: "storage_read" } as const;

export function riskRank(level: RiskLevel): number {
  return RISK_LEVELS.indexOf(level);
}

/** What a part of a manifest does, and the effects of which one must be declared for it. */
export interface ImpliedEffect {
  readonly of: string;
  readonly effects: readonly string[];
}

export function impliedEffects(manifest: Manifest): readonly ImpliedEffect[] {
  const { http, fs, database, smtp, queue, storage, envelope } = manifest;
  const implied: ImpliedEffect[] = [];
  const add = (of: string, effects: readonly string[]) => implied.push({ of, effects });
  if (database !== undefined) add(`access ${database.access}`, [DATABASE_EFFECTS[database.access]]);
  if (storage !== undefined) add(`operation ${storage.operation}`, [STORAGE_EFFECTS[storage.operation]]);
  if (queue !== undefined) add("a message to a queue", ["queue_publish"]);
  if (smtp !== undefined) add("a message by mail", ["mail_send"]);
  if (fs !== undefined) add(`operation ${fs.operation}`, [FS_EFFECTS[fs.operation]]);
  // Searches are often sent as POST; such a manifest says http_read and explains itself in risk.because.
  if (http !== undefined)
    add(`method ${http.method}`, [
      ...methodEffects(http.method),
      ...(http.method === "POST" ? ["http_read"] : []),
    ]);
  // Nobody knows before what a component posts.
  for (const method of methodsOf(envelope)) add(`method ${method}`, methodEffects(method));
  return implied;
}

function methodsOf(envelope: Manifest["envelope"]): readonly HttpMethod[] {
  return [...new Set(envelope?.targets.flatMap(({ methods }) => methods) ?? [])];
}

function methodEffects(method: HttpMethod): readonly string[] {
  switch (method) {
    case "DELETE":
      return ["http_delete"];
    case "POST":
    case "PUT":
    case "PATCH":
      return ["http_write", "http_delete"];
    default:
      return ["http_read", "http_write", "http_delete"];
  }
}

/** The risk that method and effects imply: the highest of the two tables. */
export function impliedRisk(manifest: Manifest): RiskLevel {
  const levels = manifest.effects.map((effect) => EFFECT_RISK[effect] ?? "low");
  if (manifest.http !== undefined) levels.push(METHOD_RISK[manifest.http.method]);
  levels.push(...methodsOf(manifest.envelope).map((method) => METHOD_RISK[method]));
  return levels.reduce((highest, level) => (riskRank(level) > riskRank(highest) ? level : highest), "low");
}

/**
 * A declared risk may lie one step below the implied one when `risk.because` says why, nothing is deleted, and
 * what writes stays at medium or above. That of an envelope may not: no one request is there to say it of.
 */
export function riskFindings(manifest: Manifest): Finding[] {
  const findings: Finding[] = [];
  const { level, because } = manifest.risk;
  const implied = impliedRisk(manifest);
  const below = riskRank(implied) - riskRank(level);
  const deletes = manifest.effects.some((effect) => effect.endsWith("_delete"));
  const writes = manifest.effects.some((effect) => effect.endsWith("_write"));
  const add = (message: string) => findings.push({ path: ["risk", "level"], message });
  if (below > 0) {
    if (manifest.envelope !== undefined)
      add(`${level} is below ${implied}, which the methods and effects of the envelope imply`);
    else if (deletes) add(`${level} is below ${implied}, which a deleting action needs`);
    else if (below > 1)
      add(`${level} is more than one step below ${implied}, which method and effects imply`);
    else if (writes && level === "low") add(`low is below ${implied}, which a writing action needs`);
    else if (because === undefined)
      add(`${level} is below ${implied}, which method and effects imply; say why in risk.because`);
  }
  if (riskRank(level) >= riskRank("high") && manifest.verify.kind === "none")
    findings.push({
      path: ["verify"],
      message: `a ${level} risk needs a verification: any kind but none`,
    });
  return findings;
}
