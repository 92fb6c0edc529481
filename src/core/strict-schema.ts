import * as z from "zod";
import { didYouMean } from "./suggest.ts";

/** The member names that a schema knows at a path, looking through defaults and optionals. */
function knownMembers(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: z.core.$ZodType = schema;
  for (;;) {
    if (at instanceof z.ZodPrefault || at instanceof z.ZodDefault || at instanceof z.ZodOptional)
      at = at.unwrap() as z.core.$ZodType;
    else if (path.length === 0) return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
    else {
      const [step, ...rest] = path;
      if (at instanceof z.ZodObject) at = at.shape[String(step)] as z.core.$ZodType;
      else if (at instanceof z.ZodRecord) at = at.valueType as z.core.$ZodType;
      else if (at instanceof z.ZodArray) at = at.element as z.core.$ZodType;
      else return [];
      if (at === undefined) return [];
      path = rest;
    }
  }
}

function show(path: readonly PropertyKey[]): string {
  return path
    .map((step, i) => {
      if (typeof step === "number") return `[${step}]`;
      const bare = /^[A-Za-z0-9_-]+$/.test(String(step)) ? String(step) : JSON.stringify(String(step));
      return i === 0 ? bare : `.${bare}`;
    })
    .join("");
}

/** One line for each thing wrong, with the nearest known name for each unknown one. Values are not repeated. */
export function explainIssues(schema: z.core.$ZodType, issues: readonly z.core.$ZodIssue[]): string[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys") {
      // A name that can't be one of a record's: its own fault says more than that there is one.
      const message = (issue.code === "invalid_key" ? issue.issues[0]?.message : undefined) ?? issue.message;
      return [`${show(issue.path) || "the document"}: ${message.replace(/^Invalid input: /, "")}`];
    }
    const known = knownMembers(schema, issue.path);
    return issue.keys.map((key) => {
      const near = didYouMean(key, known);
      return `${show([...issue.path, key])}: unknown key${near === undefined ? "" : `; did you mean ${near}?`}`;
    });
  });
}
