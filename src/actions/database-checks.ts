import { parameterName } from "./body-template.ts";
import type { Finding } from "./load-problem.ts";
import type { DatabaseSection } from "./manifest-schema.ts";
import type { Use } from "./parameter-uses.ts";
import { checkedStatement } from "./plan-database.ts";

const KIND_USES = {
  boolean: "json",
  integer: "scalar",
  decimal: "scalar",
  text: "scalar",
  bytes: "base64",
  json: "json",
  null: "json",
} as const;

export function databaseUses(section: DatabaseSection): readonly Use[] {
  const uses: Use[] = [];
  const path = ["database", "statement"];
  const statement = parameterName(section.statement);
  if (statement !== null) uses.push({ parameter: statement, as: "text", path, mayBeAbsent: false });
  const { parameters } = section;
  if (!Array.isArray(parameters))
    uses.push({
      parameter: parameters.$param,
      as: "list",
      path: ["database", "parameters"],
      mayBeAbsent: true,
    });
  else
    for (const [i, { $param, as }] of parameters.entries())
      uses.push({
        parameter: $param,
        as: as === undefined ? "json" : KIND_USES[as],
        path: ["database", "parameters", i],
        mayBeAbsent: true,
      });
  return uses;
}

/** A fixed statement is read when the manifest is loaded; postgresql's parser has been loaded by then. */
export function databaseFindings(section: DatabaseSection): Finding[] {
  const findings: Finding[] = [];
  const add = (member: string, message: string) => findings.push({ path: ["database", member], message });
  const fixed = typeof section.statement === "string";
  if (fixed !== (section.mode === "fixed"))
    add(
      "statement",
      fixed ? "mode parameterized needs {$param: name}" : "a parameter needs mode: parameterized",
    );
  if (section.access === "read" && section.max_affected !== undefined)
    add("max_affected", "is for access write alone");
  if (typeof section.statement !== "string" || section.mode !== "fixed") return findings;
  if (!Array.isArray(section.parameters)) {
    add("parameters", "a fixed statement needs a list of {$param: name}");
    return findings;
  }
  const read = checkedStatement(section, section.statement);
  if (!read.ok) {
    add("statement", read.message);
    return findings;
  }
  const { statement } = read;
  if ((statement.class === "select") !== (section.access === "read"))
    add("access", `${section.access} is not what a ${statement.class} needs`);
  if (statement.parameters !== section.parameters.length)
    add(
      "parameters",
      `the statement takes ${statement.parameters}, and ${section.parameters.length} are given`,
    );
  return findings;
}
