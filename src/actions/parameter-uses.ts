import type { Json } from "../core/json.ts";
import { type BodyUse, bodyUses, findParameters, parameterName } from "./body-template.ts";
import type { Finding } from "./load-problem.ts";
import type { FsSection, HttpSection, Verify } from "./manifest-schema.ts";
import type { UrlTemplate } from "./url-template.ts";

/** One place of a manifest that reads a parameter. */
export interface Use {
  readonly parameter: string;
  /** What the place takes. `expected` and `policy` read a value without sending it. */
  readonly as: BodyUse["as"] | "url" | "expected" | "policy" | "list";
  readonly path: readonly (string | number)[];
  readonly mayBeAbsent: boolean;
}

export function httpUses(
  http: HttpSection,
  template: UrlTemplate,
): { readonly uses: readonly Use[]; readonly findings: readonly Finding[] } {
  const path = ["http", "url"];
  const uses: Use[] =
    template.kind === "whole"
      ? [{ parameter: template.parameter, as: "text", path, mayBeAbsent: false }]
      : template.expressions.map(({ parameter, mayBeAbsent, place }) => ({
          parameter,
          as: place === "host" ? "text" : "url",
          path,
          mayBeAbsent,
        }));
  for (const [name, value] of Object.entries(http.headers)) {
    const parameter = parameterName(value);
    if (parameter !== null)
      uses.push({ parameter, as: "scalar", path: ["http", "headers", name], mayBeAbsent: true });
  }
  if (http.body === undefined) return { uses, findings: [] };
  const body = bodyUses(http.body);
  return { uses: [...uses, ...body.uses], findings: body.findings };
}

export function fsUses(fs: FsSection): readonly Use[] {
  const uses: Use[] = [{ parameter: fs.path.$param, as: "text", path: ["fs", "path"], mayBeAbsent: false }];
  const either = fs.content?.text !== undefined && fs.content.base64 !== undefined;
  if (fs.content?.text !== undefined)
    uses.push({
      parameter: fs.content.text.$param,
      as: "text",
      path: ["fs", "content", "text"],
      mayBeAbsent: either,
    });
  if (fs.content?.base64 !== undefined)
    uses.push({
      parameter: fs.content.base64.$param,
      as: "base64",
      path: ["fs", "content", "base64"],
      mayBeAbsent: either,
    });
  if (fs.mode !== undefined && typeof fs.mode !== "string")
    uses.push({ parameter: fs.mode.$param, as: "text", path: ["fs", "mode"], mayBeAbsent: false });
  if (fs.expected_before_hash !== undefined)
    uses.push({
      parameter: fs.expected_before_hash.$param,
      as: "text",
      path: ["fs", "expected_before_hash"],
      mayBeAbsent: true,
    });
  return uses;
}

export function verifyUses(verify: Verify): readonly Use[] {
  if (verify.kind !== "http") return [];
  const found: BodyUse[] = [];
  for (const [i, assertion] of verify.assert.entries())
    if ("equals" in assertion)
      findParameters(assertion.equals as Json, ["verify", "assert", i, "equals"], true, found, []); // yaml gave JSON
  return found.map((use) => ({ ...use, as: "expected", mayBeAbsent: true }));
}
