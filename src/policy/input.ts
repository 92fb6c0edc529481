import * as z from "zod";
import { canonicalJson } from "../core/canonical-json.ts";
import type { Json } from "../core/json.ts";
import type { PolicyInput } from "./contract.ts";

/** Longest input that policy looks at, in UTF-16 units of its JSON: it bounds one evaluation's time. */
export const LONGEST_INPUT = 65_536;

const text = z.string().min(1);
/** Longer lists are nothing that a manifest or a lease holds; sorting them would let an agent burn time. */
const MOST_ITEMS = 256;
const texts = z.array(text).max(MOST_ITEMS);

const action = z.strictObject({
  id: text,
  version: text,
  digest: text,
  risk: z.enum(["low", "medium", "high", "critical"]),
  effects: texts,
  trust: z.enum(["digest_ok", "digest_mismatch", "not_registered"]),
  envelope: z.boolean(),
});

const plan = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("http"),
    method: text,
    scheme: text,
    host: text,
    port: z.int().min(1).max(65_535),
    path: text,
  }),
  z.strictObject({
    kind: z.literal("envelope"),
    hosts: texts.min(1),
    methods: texts.min(1),
    prefixes: texts.min(1),
    ports: z.array(z.int().min(1).max(65_535)).min(1).max(MOST_ITEMS),
    plain: texts,
    calls: z.int().min(1),
  }),
  z.strictObject({ kind: z.literal("fs"), operation: text, path: text }),
  z.strictObject({
    kind: z.literal("database"),
    connection: text,
    engine: text,
    target: text,
    access: text,
    class: text,
    tables: texts,
  }),
  z.strictObject({
    kind: z.literal("mail"),
    connection: text,
    server: text,
    from: text,
    recipients: texts,
    recipient_domains: texts,
  }),
  z.strictObject({
    kind: z.literal("queue"),
    connection: text,
    server: text,
    vhost: text,
    exchange: text,
    routing_key: text,
  }),
  z.strictObject({
    kind: z.literal("storage"),
    connection: text,
    endpoint: text,
    operation: text,
    bucket: text,
    key: text,
  }),
]);

const input = z
  .strictObject({
    principal: text.refine((name) => name !== "*", "the wildcard is nobody's name"),
    tenant: text,
    session_id: text,
    scopes: texts,
    required_scopes: texts,
    action,
    plan,
    read_back: z
      .strictObject({
        kind: z.literal("http"),
        scheme: text,
        host: text,
        port: z.int().min(1).max(65_535),
        path: text,
        values: texts,
        attempts: z.int().min(1),
      })
      .nullable(),
    secrets: texts,
    // z.number() refuses NaN and the infinities, which JSON would turn into null, and null into "no limit".
    params: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .refine((params) => Object.keys(params).length <= MOST_ITEMS),
    budget: z.strictObject({ calls_remaining: z.int().nullable() }),
    unresolved: z.strictObject({ hosts: texts, paths: texts }),
    approval: z.strictObject({ id: text, approvers: texts }).nullable(),
    time: text,
  })
  .refine(({ action: { envelope }, plan: { kind } }) => envelope === (kind === "envelope"), {
    path: ["action", "envelope"],
  }) satisfies z.ZodType<PolicyInput>;

export type EncodedInput = { readonly json: string } | { readonly problem: string };

/**
 * The input as JSON, or the members that break its contract. The default policy checks the same again
 * (policies/contract.rego); here it is checked for any policy.
 */
export function encodeInput(value: PolicyInput): EncodedInput {
  const checked = input.safeParse(value);
  if (!checked.success) {
    const members = new Set(checked.error.issues.flatMap(membersOf));
    return { problem: `malformed policy input: ${[...members].sort().join(", ")}` };
  }
  const json = JSON.stringify(value);
  // A lone surrogate is written as an escape (ECMA-262, QuoteJSONString); most texts hold none and are not read twice.
  if (json.includes("\\ud") && !isWellFormed(value))
    return { problem: "malformed policy input: lone surrogate" };
  if (json.length > LONGEST_INPUT) return { problem: `policy input longer than ${LONGEST_INPUT} characters` };
  return { json };
}

function isWellFormed(value: PolicyInput): boolean {
  try {
    canonicalJson(value as unknown as Json); // the schema admits nothing but JSON values
    return true;
  } catch {
    return false; // the one fault that the schema leaves
  }
}

function membersOf(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map(String);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => [...at, key].join("."));
  return [at.length === 0 ? "input" : at.join(".")];
}
