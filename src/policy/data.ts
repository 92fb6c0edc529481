import * as z from "zod";
import { LatchGateError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import type { PolicyData, Risk } from "./contract.ts";

/** Policy data that cannot be used; `problems` has one line for each fault. Code `policy_data_invalid`. */
export class PolicyDataError extends LatchGateError {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super("policy_data_invalid", `policy data is not valid: ${problems.join("; ")}`, {
      hint: "docs/policy.md describes the format of data.json",
    });
    this.problems = problems;
  }
}

const wellFormed = (value: string) => value.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value);

const name = z
  .string()
  .min(1, "must not be empty")
  .max(128, "longer than 128 characters")
  .refine(wellFormed, "contains a control character")
  .refine((value) => value !== "*", "a wildcard is no name; list each one");

const principal = z
  .string()
  .min(1, "must not be empty")
  .max(512, "longer than 512 characters")
  .refine(wellFormed, "contains a control character");

const entry = z.strictObject({
  allowed_actions: z.array(name),
  allowed_sinks: z.array(name),
  inherits_wildcard: z.boolean().exactOptional(),
});

const quorum = z.int().min(1, "must be at least 1").max(100, "must be at most 100").exactOptional();

const schema = z.strictObject({
  policy_version: z
    .string()
    .min(1, "must not be empty")
    .max(128, "longer than 128 characters")
    .refine(wellFormed, "contains a control character"),
  acl: z.record(principal, entry),
  approvals: z
    .strictObject({
      quorum: z.strictObject({ low: quorum, medium: quorum, high: quorum, critical: quorum }).exactOptional(),
    })
    .exactOptional(),
}) satisfies z.ZodType<PolicyData>;

/** Checks policy data and returns its own copy. Throws {@link PolicyDataError}. */
export function parsePolicyData(value: unknown): PolicyData {
  const problems: string[] = [];
  const read = schema.safeParse(value);
  if (!read.success) problems.push(...read.error.issues.flatMap(explain));
  const acl = member(value, "acl");
  // The schema library passes over this name in silence, and its principal would fall to the wildcard.
  if (typeof acl === "object" && acl !== null && Object.hasOwn(acl, "__proto__"))
    problems.push('acl["__proto__"]: not a possible principal');
  if (member(member(acl, "*"), "inherits_wildcard") === true)
    problems.push('acl["*"].inherits_wildcard: the wildcard entry cannot inherit from itself');
  if (!read.success || problems.length > 0) throw new PolicyDataError(problems);
  return read.data;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, key)?.value;
}

/** The members known at a path of the data, for suggestions. */
function knownMembers(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(schema.shape);
  if (path[0] === "acl") return Object.keys(entry.shape);
  return path.length === 1 ? ["quorum"] : ["low", "medium", "high", "critical"];
}

function explain(issue: z.core.$ZodIssue): string[] {
  const at = show(issue.path);
  if (issue.code !== "unrecognized_keys") {
    const inner = issue.code === "invalid_key" ? issue.issues[0]?.message : undefined;
    return [`${at}: ${inner ?? issue.message.replace(/^Invalid input: /, "")}`];
  }
  return issue.keys.map((key) => {
    const near = didYouMean(key, knownMembers(issue.path));
    return `${show([...issue.path, key])}: unknown member${near === undefined ? "" : `; did you mean "${near}"?`}`;
  });
}

function show(path: readonly PropertyKey[]): string {
  let out = "";
  for (const step of path) {
    if (typeof step === "number") out += `[${step}]`;
    else if (/^[a-z_]+$/.test(String(step))) out += `${out === "" ? "" : "."}${String(step)}`;
    else out += `[${JSON.stringify(String(step))}]`;
  }
  return out === "" ? "data" : out;
}

/** What policy data says about an action, from its manifest. */
export interface ActionFacts {
  readonly id: string;
  readonly effects: readonly string[];
  readonly risk: Risk;
}

/**
 * Data for a first start: the named principal may use all the given actions, everybody else none.
 * Throws {@link PolicyDataError} for a name that cannot be a principal.
 */
export function quickstartData(owner: string, actions: readonly ActionFacts[]): PolicyData {
  if (owner === "*") throw new PolicyDataError(["the quickstart principal must be a name, not the wildcard"]);
  return parsePolicyData({
    policy_version: "quickstart-1",
    acl: {
      "*": { allowed_actions: [], allowed_sinks: [] },
      [owner]: {
        allowed_actions: sorted(actions.map((action) => action.id)),
        allowed_sinks: sorted(actions.flatMap((action) => action.effects)),
        inherits_wildcard: false,
      },
    },
  });
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
