import { publishFault } from "../core/publish-rules.ts";
import { bodyUses } from "./body-template.ts";
import type { Finding } from "./load-problem.ts";
import type { QueueSection } from "./manifest-schema.ts";
import type { Use } from "./parameter-uses.ts";

export function queueUses(section: QueueSection): {
  readonly uses: readonly Use[];
  readonly findings: readonly Finding[];
} {
  const payload = bodyUses(section.payload);
  const here = <T extends { readonly path: readonly (string | number)[] }>(one: T): T => ({
    ...one,
    path: ["queue", "payload", ...one.path.slice(2)],
  });
  const uses: Use[] = payload.uses.map(here);
  const use = (given: unknown, as: Use["as"], mayBeAbsent: boolean, ...path: string[]) => {
    if (typeof given === "object" && given !== null && "$param" in given && typeof given.$param === "string")
      uses.push({ parameter: given.$param, as, path: ["queue", ...path], mayBeAbsent });
  };
  use(section.exchange, "text", false, "exchange");
  use(section.routing_key, "text", false, "routing_key");
  for (const [name, value] of Object.entries(section.headers)) use(value, "scalar", true, "headers", name);
  return { uses, findings: payload.findings.map(here) };
}

/** What stands in the manifest itself is held to the rules that a call is held to. */
export function queueFindings(section: QueueSection): Finding[] {
  const fixed = Object.entries(section.headers).flatMap(([name, value]) =>
    typeof value === "string" ? [[name, value] as const] : [],
  );
  const fault = publishFault({
    exchange: typeof section.exchange === "string" ? section.exchange : "",
    routingKey: typeof section.routing_key === "string" ? section.routing_key : "x",
    contentType: section.content_type ?? "text/plain",
    headers: fixed,
  });
  return fault === null ? [] : [{ path: ["queue"], message: fault }];
}
