import { canonicalJson } from "../core/canonical-json.ts";
import type { Json } from "../core/json.ts";
import { isBelowPrefix } from "../core/path-prefix.ts";
import { patternCovers } from "./host-pattern.ts";
import type { Manifest, Verify } from "./manifest-schema.ts";
import { riskRank } from "./risk.ts";
import { type EgressEntry, egressEntries } from "./target-rules.ts";

/**
 * In what a manifest is weaker than the one it would replace: lower risk, wider reach, weaker verification.
 * Empty when it is at least as strict in all of them.
 */
export function weakenings(before: Manifest, after: Manifest): string[] {
  const found: string[] = [];
  if (riskRank(after.risk.level) < riskRank(before.risk.level))
    found.push(`lowers the risk from ${before.risk.level} to ${after.risk.level}`);
  const effects = after.effects.filter((effect) => !before.effects.includes(effect));
  if (effects.length > 0) found.push(`adds the effect ${effects.join(", ")}`);
  const scopes = before.required_scopes.filter((scope) => !after.required_scopes.includes(scope));
  if (scopes.length > 0) found.push(`drops the required scope ${scopes.join(", ")}`);
  if (after.provider !== before.provider) found.push(`replaces the provider ${before.provider}`);
  found.push(...widerEgress(before, after), ...widerPaths(before, after), ...widerDatabase(before, after));
  found.push(...widerMail(before, after), ...widerQueue(before, after), ...widerStorage(before, after));
  found.push(...widerEnvelope(before, after), ...moreCredentials(before, after));
  found.push(...weakerVerification(before.verify, after.verify));
  if (before.response.schema !== undefined && after.response.schema === undefined)
    found.push("weakens verification: drops the response schema");
  return found;
}

function widerEgress(before: Manifest, after: Manifest): string[] {
  const found: string[] = [];
  if (after.egress.learn && !before.egress.learn) found.push("widens egress: hosts may be learned");
  const old = egressEntries(before.egress);
  for (const entry of egressEntries(after.egress))
    if (!old.some((one) => entryCovers(one, entry))) found.push(`widens egress: ${entry.host}`);
  return found;
}

function entryCovers(wide: EgressEntry, narrow: EgressEntry): boolean {
  const methods = wide.methods;
  return (
    patternCovers(wide.host, narrow.host) &&
    narrow.ports.every((port) => wide.ports.includes(port)) &&
    (methods === null || (narrow.methods?.every((method) => methods.includes(method)) ?? false))
  );
}

/** A value sent to another host, or in another place, is another use of it. */
function moreCredentials(before: Manifest, after: Manifest): string[] {
  const found: string[] = [];
  for (const { hosts, required: _, ...entry } of after.auth)
    for (const host of hosts) {
      const same = before.auth.some(
        ({ hosts: old, required: __, ...one }) => old.includes(host) && text(one) === text(entry),
      );
      if (!same) found.push(`widens credentials: ${entry.secret} for ${host}`);
    }
  return found;
}

function widerPaths(before: Manifest, after: Manifest): string[] {
  if (after.fs === undefined) return [];
  const found: string[] = [];
  for (const pattern of after.fs.allow)
    if (!before.fs?.allow.includes(pattern)) found.push(`widens paths: allows ${pattern}`);
  for (const pattern of before.fs?.deny ?? [])
    if (!after.fs.deny.includes(pattern)) found.push(`widens paths: no longer denies ${pattern}`);
  return found;
}

function widerDatabase(before: Manifest, after: Manifest): string[] {
  const [old, now] = [before.database, after.database];
  if (old === undefined || now === undefined) return [];
  const found: string[] = [];
  const add = (what: string) => found.push(`widens the database access: ${what}`);
  if (now.connection !== old.connection) add(`connection ${now.connection}`);
  if (now.access !== old.access) add(`access ${now.access}`);
  if (text({ of: now.statement }) !== text({ of: old.statement })) add("another statement");
  if (now.max_rows > old.max_rows || (now.max_affected ?? 1) > (old.max_affected ?? 1)) add("more rows");
  const tables = now.tables?.some((table) => !(old.tables?.includes(table) ?? true));
  if (tables === true || (old.tables !== undefined && now.tables === undefined)) add("more tables");
  if (now.functions.some((name) => !old.functions.includes(name))) add("more functions");
  return found;
}

function widerMail(before: Manifest, after: Manifest): string[] {
  const [old, now] = [before.smtp, after.smtp];
  if (old === undefined || now === undefined) return [];
  const found: string[] = [];
  const add = (what: string) => found.push(`widens the recipients: ${what}`);
  if (now.connection !== old.connection) add(`connection ${now.connection}`);
  if (now.max_recipients > old.max_recipients) add("more of them");
  const domains = now.domains?.some((domain) => !(old.domains?.includes(domain) ?? true)) ?? false;
  if (domains || (old.domains !== undefined && now.domains === undefined)) add("more domains");
  for (const list of ["to", "cc", "bcc"] as const)
    if (text({ of: now[list] ?? null }) !== text({ of: old[list] ?? null })) add(`another ${list}`);
  return found;
}

function widerQueue(before: Manifest, after: Manifest): string[] {
  const [old, now] = [before.queue, after.queue];
  if (old === undefined || now === undefined) return [];
  const found: string[] = [];
  const add = (what: string) => found.push(`widens the destinations: ${what}`);
  if (now.connection !== old.connection) add(`connection ${now.connection}`);
  for (const list of ["exchanges", "routing_keys"] as const) {
    const more = now[list]?.some((one) => !(old[list]?.includes(one) ?? true)) ?? false;
    if (more || (old[list] !== undefined && now[list] === undefined)) add(`more ${list}`);
  }
  for (const member of ["exchange", "routing_key"] as const)
    if (text({ of: now[member] }) !== text({ of: old[member] })) add(`another ${member}`);
  return found;
}

function widerStorage(before: Manifest, after: Manifest): string[] {
  const [old, now] = [before.storage, after.storage];
  if (old === undefined || now === undefined) return [];
  const found: string[] = [];
  const add = (what: string) => found.push(`widens the objects: ${what}`);
  if (now.connection !== old.connection) add(`connection ${now.connection}`);
  if (now.operation !== old.operation) add(`operation ${now.operation}`);
  if (now.max_object_kb > old.max_object_kb) add("larger ones");
  for (const list of ["buckets", "keys"] as const) {
    const more = now[list]?.some((one) => !(old[list]?.includes(one) ?? true)) ?? false;
    if (more || (old[list] !== undefined && now[list] === undefined)) add(`more ${list}`);
  }
  for (const member of ["bucket", "key", "mode", "if_match"] as const)
    if (text({ of: now[member] ?? null }) !== text({ of: old[member] ?? null })) add(`another ${member}`);
  return found;
}

/** An envelope in place of an exact plan is wider, however narrow it is. */
function widerEnvelope(before: Manifest, after: Manifest): string[] {
  const [old, now] = [before.envelope, after.envelope];
  if (now === undefined) return [];
  if (old === undefined) return ["widens the plan: an envelope in place of an exact one"];
  const found: string[] = [];
  if (now.calls > old.calls) found.push(`widens the envelope: ${now.calls} calls`);
  const inside = (target: (typeof now.targets)[number]) =>
    old.targets.some(
      (wide) =>
        target.hosts.every((host) => wide.hosts.some((pattern) => patternCovers(pattern, host))) &&
        target.methods.every((method) => wide.methods.includes(method)) &&
        target.ports.every((port) => wide.ports.includes(port)) &&
        target.paths.every((path) => wide.paths.some((prefix) => isBelowPrefix(prefix, path))),
    );
  for (const [i, target] of now.targets.entries())
    if (!inside(target)) found.push(`widens the envelope: target ${i + 1}`);
  return found;
}

function weakerVerification(before: Verify, after: Verify): string[] {
  if (before.kind === "none") return [];
  if (after.kind !== before.kind) return [`weakens verification: ${before.kind} becomes ${after.kind}`];
  if (before.kind === "envelope" && text(after) !== text(before))
    return ["weakens verification: expects another number of calls, or other statuses"];
  if (before.kind !== "http" || after.kind !== "http") return [];
  const found: string[] = [];
  const wider =
    after.status === undefined
      ? before.status !== undefined
      : after.status.some((status) => !(before.status?.includes(status) ?? (status >= 200 && status <= 299)));
  if (wider) found.push("weakens verification: accepts more statuses");
  const kept = new Set(after.assert.map(text));
  if (before.assert.some((assertion) => !kept.has(text(assertion))))
    found.push("weakens verification: drops an assertion");
  // Another place, or other demands, may show less: whoever changes them says why.
  if (before.read_back !== undefined && sightOf(after.read_back) !== sightOf(before.read_back))
    found.push("weakens verification: drops or changes the read-back");
  return found;
}

/** What a read-back looks at, however often. */
function sightOf(section: (Verify & { readonly kind: "http" })["read_back"]): string {
  if (section === undefined) return "";
  const { attempts: _, interval_ms: __, ...sight } = section;
  return text(sight);
}

function text(assertion: object): string {
  return canonicalJson(assertion as Json); // an assertion is part of a manifest, which came from JSON values
}
