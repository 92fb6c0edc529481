import { sha256Hex } from "../core/bytes.ts";
import type { FsEffect, HttpEffect, ObservedEffect } from "../core/effect.ts";
import type { FsPlan, HttpPlan, Plan } from "../core/plan.ts";
import { parseTargetUrl } from "../core/url.ts";

/** An effect record while its broker still fills it in. */
export type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type OpenRecord = Writable<HttpEffect> | Writable<FsEffect>;

/** The record of a call that equals the plan, before anything has happened. */
export function recordOf(plan: Plan): OpenRecord {
  return plan.kind === "http" ? httpRecord(plan) : fsRecord(plan);
}

/**
 * The record of a call that was refused at the door. It names the granted effect, which was not reached, and nothing
 * of what was asked instead: that text is the component's, and evidence does not repeat it.
 */
export function refusalOf(plan: Plan, error: NonNullable<ObservedEffect["error"]>): ObservedEffect {
  const record = recordOf(plan);
  if (record.kind === "http") return { ...record, requestBytes: 0, requestHash: null, error };
  return { ...record, error };
}

export function httpRecord(plan: HttpPlan): Writable<HttpEffect> {
  const { origin, target } = place(plan.url);
  return {
    kind: "http",
    method: plan.method,
    origin,
    target,
    address: null,
    requestBytes: plan.body?.length ?? 0,
    requestHash: plan.body === null ? null : sha256Hex(plan.body),
    status: null,
    responseBytes: 0,
    responseHash: null,
    secrets: [],
    scrubbed: 0,
    reached: "none",
    error: null,
  };
}

export function fsRecord(plan: FsPlan): Writable<FsEffect> {
  return {
    kind: "fs",
    operation: plan.operation,
    path: plan.path,
    device: null,
    inode: null,
    beforeHash: null,
    afterHash: null,
    bytesBefore: null,
    bytesAfter: null,
    reached: "none",
    error: null,
  };
}

/** A plan whose URL does not parse is refused by the broker; its record then has no place to name. */
function place(url: string): { origin: string; target: string } {
  try {
    const parsed = parseTargetUrl(url);
    return { origin: parsed.origin, target: parsed.path + parsed.query };
  } catch {
    return { origin: "", target: "" };
  }
}
