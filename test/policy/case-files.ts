import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import type { PolicyInput } from "../../src/policy/contract.ts";

const CASES = join(import.meta.dir, "../../policies/cases");

const patch = z.record(z.string(), z.json());

const policyCase = z.strictObject({
  name: z.string(),
  input: patch.default({}),
  without: z.array(z.string()).default([]),
  data: patch.default({}),
  data_without: z.array(z.string()).default([]),
  /** When given, the data is refused at load with this in the message, and the policy alone is asked. */
  data_problem: z.string().optional(),
  outcome: z.enum(["allow", "hold", "deny"]),
  codes: z.array(z.string()),
  text: z.array(z.string()).default([]),
  granted: z
    .strictObject({
      hosts: z.array(z.string()),
      paths: z.array(z.string()),
      connections: z.array(z.string()).default([]),
      secrets: z.array(z.string()),
    })
    .optional(),
  quorum: z.int().optional(),
});

export type PolicyCase = z.infer<typeof policyCase>;

export interface CaseFile {
  readonly file: string;
  readonly cases: readonly PolicyCase[];
}

function read(file: string): unknown {
  return parse(readFileSync(join(CASES, file), "utf8"));
}

const base = z.strictObject({ input: z.json(), data: z.json() }).parse(read("base.yaml"));

/** A fresh copy of the input that every case starts from: it is allowed. */
export function baseInput(): PolicyInput {
  return structuredClone(base.input) as unknown as PolicyInput; // the first case of basics.yaml shows that it is one
}

/** A fresh copy of the data that every case starts from. */
export function baseData(): unknown {
  return structuredClone(base.data);
}

export function caseFiles(): readonly CaseFile[] {
  return readdirSync(CASES)
    .filter((file) => file.endsWith(".yaml") && file !== "base.yaml")
    .sort()
    .map((file) => ({ file, cases: z.array(policyCase).parse(read(file)) }));
}

/** The input and the data of a case: the base with the case's patches. */
export function documentsOf(test: PolicyCase): { input: unknown; data: unknown } {
  return {
    input: patched(base.input, structuredClone(test.input), test.without),
    data: patched(base.data, structuredClone(test.data), test.data_without),
  };
}

/** Sets and removes members by JSON pointer (RFC 6901). A pointer whose parent is missing is an error of the case. */
export function patched(
  start: unknown,
  set: Readonly<Record<string, unknown>>,
  without: readonly string[] = [],
): unknown {
  const holder: { document: unknown } = { document: structuredClone(start) };
  for (const [pointer, value] of Object.entries(set)) {
    const { parent, key } = locate(holder, pointer);
    parent[key] = value;
  }
  for (const pointer of without) {
    const { parent, key } = locate(holder, pointer);
    if (!Object.hasOwn(parent, key)) throw new Error(`nothing at ${pointer}`);
    delete parent[key];
  }
  return holder.document;
}

function locate(holder: object, pointer: string): { parent: Record<string, unknown>; key: string } {
  const steps = ["document", ...pointer.split("/").slice(1)];
  const key = steps.pop() ?? "";
  let parent = holder as Record<string, unknown>; // plain objects all the way: they come from YAML
  for (const step of steps) {
    const next = parent[step];
    if (typeof next !== "object" || next === null) throw new Error(`nothing at ${pointer}`);
    parent = next as Record<string, unknown>;
  }
  return { parent, key };
}
