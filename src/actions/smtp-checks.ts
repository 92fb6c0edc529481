import { isHeaderValue, MOST_HEADERS } from "./header-rules.ts";
import type { Finding } from "./load-problem.ts";
import type { SmtpSection } from "./manifest-schema.ts";
import type { Use } from "./parameter-uses.ts";

export function smtpUses(section: SmtpSection): readonly Use[] {
  const uses: Use[] = [];
  const use = (member: string, given: unknown, as: Use["as"], mayBeAbsent: boolean, ...more: string[]) => {
    if (typeof given === "object" && given !== null && "$param" in given && typeof given.$param === "string")
      uses.push({ parameter: given.$param, as, path: ["smtp", member, ...more], mayBeAbsent });
  };
  use("to", section.to, "list", false);
  use("cc", section.cc, "list", true);
  use("bcc", section.bcc, "list", true);
  use("subject", section.subject, "text", false);
  const either = section.text !== undefined && section.html !== undefined;
  use("text", section.text, "text", either);
  use("html", section.html, "text", true);
  for (const [name, value] of Object.entries(section.headers)) use("headers", value, "scalar", true, name);
  return uses;
}

export function smtpFindings(section: SmtpSection): Finding[] {
  const findings: Finding[] = [];
  if (section.text === undefined && section.html === undefined)
    findings.push({ path: ["smtp", "text"], message: "a message needs text, html or both" });
  if (Object.keys(section.headers).length > MOST_HEADERS)
    findings.push({ path: ["smtp", "headers"], message: `has more than ${MOST_HEADERS} headers` });
  for (const [name, value] of Object.entries(section.headers))
    if (typeof value === "string" && !isHeaderValue(value))
      findings.push({
        path: ["smtp", "headers", name],
        message: "must be visible ascii without outer spaces",
      });
  return findings;
}
