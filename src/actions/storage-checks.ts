import { compileGlob, GlobError } from "../core/glob.ts";
import { isJsonObject } from "../core/json.ts";
import { objectKeyFault } from "../core/object-key.ts";
import type { Finding } from "./load-problem.ts";
import type { Manifest, StorageSection } from "./manifest-schema.ts";
import type { Use } from "./parameter-uses.ts";
import type { Parameter } from "./parameters.ts";

export function storageUses(section: StorageSection): readonly Use[] {
  const uses: Use[] = [];
  const use = (given: unknown, as: Use["as"], mayBeAbsent: boolean, ...path: string[]) => {
    if (typeof given === "object" && given !== null && "$param" in given && typeof given.$param === "string")
      uses.push({ parameter: given.$param, as, path: ["storage", ...path], mayBeAbsent });
  };
  const { content } = section;
  const either = content?.text !== undefined && content.base64 !== undefined;
  use(section.bucket, "text", false, "bucket");
  use(section.key, "text", false, "key");
  use(content?.text, "text", either, "content", "text");
  use(content?.base64, "base64", either, "content", "base64");
  use(section.content_type, "text", true, "content_type");
  use(section.mode, "text", false, "mode");
  use(section.if_match, "text", true, "if_match");
  return uses;
}

export function storageFindings(
  manifest: Manifest,
  section: StorageSection,
  parameters: ReadonlyMap<string, Parameter>,
): Finding[] {
  const findings: Finding[] = [];
  const add = (message: string, ...path: (string | number)[]) =>
    findings.push({ path: ["storage", ...path], message });
  const put = section.operation === "put";
  if (put !== (section.content !== undefined))
    add(put ? "a put needs content" : "is for put alone", "content");
  for (const member of ["content_type", "mode", "if_match"] as const)
    if (!put && section[member] !== undefined) add("is for put alone", member);
  if (section.if_match !== undefined && (section.mode ?? "create") === "create")
    add("is for mode overwrite", "if_match");
  if (section.mode !== undefined && typeof section.mode !== "string") {
    const schema = parameters.get(section.mode.$param)?.schema;
    const values = isJsonObject(schema) ? schema.enum : undefined;
    if (!Array.isArray(values) || !values.every((value) => value === "create" || value === "overwrite"))
      add("its parameter must be an enum of create and overwrite", "mode");
  }
  if (typeof section.key === "string") {
    const fault = objectKeyFault(section.key);
    if (fault !== null) add(fault, "key");
  }
  for (const [i, pattern] of (section.keys ?? []).entries()) {
    const glob = compileGlob(pattern);
    if (glob instanceof GlobError) add(glob.message, "keys", i);
  }
  const cap = put ? manifest.limits.request_kb : manifest.limits.response_kb;
  if (section.max_object_kb > cap)
    add(
      `${section.max_object_kb} kb cannot fit into limits.${put ? "request" : "response"}_kb ${cap}`,
      "max_object_kb",
    );
  return findings;
}
