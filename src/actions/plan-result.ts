import type { Connections } from "../core/plan/connections.ts";
import type { Plan } from "../core/plan.ts";
import type { ParsedStatement } from "./sql/statement.ts";

/** What planning needs to know beside the parameters. */
export interface PlanContext {
  /** Absolute path of the folder that the operator allows; null when the session has none. */
  readonly fsRoot: string | null;
  /**
   * Way from there to the session's own folder, such as `services/api`; absent or empty when it is that folder itself.
   * Patterns of manifests are those of the allowed folder: an agent that chooses a lower one must not move them.
   */
  readonly fsBelow?: string;
  /**
   * Private or loopback targets that the operator's configuration names for this action; they count as listed.
   * The broker checks method, path prefix and address of the entry again.
   */
  readonly local?: readonly LocalTarget[];
  /** Endpoints that the operator's configuration names; none when absent. */
  readonly connections?: Connections;
  /** What the parser made of the call's `WrittenStatement`, where it has one. */
  readonly statement?: ParsedStatement | null;
}

/** A private or loopback target of the configuration. */
export interface LocalTarget {
  readonly host: string;
  readonly port: number;
  /** Whether it may be spoken to without TLS: it names no authority that must vouch for it. */
  readonly plain?: boolean;
}

export type PlanRefusalCode =
  | "url_invalid"
  | "scheme_not_allowed"
  | "host_not_allowed"
  | "port_not_allowed"
  | "header_invalid"
  | "secret_not_bound"
  | "request_too_large"
  | "invalid_content"
  | "fs_root_missing"
  | "path_invalid"
  | "path_denied"
  | "too_large"
  | "connection_missing"
  | "statement_refused"
  | "recipient_invalid"
  | "recipient_not_allowed"
  | "destination_invalid"
  | "destination_not_allowed";

/** The message may be shown to the agent: it repeats no value. */
export interface PlanRefusal {
  readonly ok: false;
  readonly code: PlanRefusalCode;
  readonly message: string;
}

export interface Planned<P extends Plan = Plan> {
  readonly ok: true;
  readonly plan: P;
  /** Targets outside the manifest's lists: policy holds them, an approval is for exactly these. */
  readonly unresolved: { readonly hosts: readonly string[]; readonly paths: readonly string[] };
}

export function refusePlan(code: PlanRefusalCode, message: string): PlanRefusal {
  return { ok: false, code, message };
}
