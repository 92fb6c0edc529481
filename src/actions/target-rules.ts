import type { HttpMethod } from "../core/plan.ts";
import { patternCovers } from "./host-pattern.ts";
import type { Manifest } from "./manifest-schema.ts";

type Egress = Manifest["egress"];

export interface EgressEntry {
  readonly host: string;
  /** Null means every method. */
  readonly methods: readonly HttpMethod[] | null;
  readonly ports: readonly number[];
}

/** The entries of a manifest in their long form: a bare host means every method on port 443. */
export function egressEntries(egress: Egress): readonly EgressEntry[] {
  return egress.hosts.map((entry) =>
    typeof entry === "string"
      ? { host: entry, methods: null, ports: [443] }
      : { host: entry.host, methods: entry.methods ?? null, ports: entry.ports },
  );
}

/** Every host pattern of a manifest: those of its egress, or of its envelope. */
export function egressHosts({ egress, envelope }: Manifest): readonly string[] {
  const own = envelope?.targets.flatMap(({ hosts }) => hosts) ?? [];
  return [...new Set([...egressEntries(egress).map((entry) => entry.host), ...own])];
}

/** Whether a host, or every host of a pattern, is listed for a method and port. */
export function allowsTarget(egress: Egress, method: HttpMethod, host: string, port: number): boolean {
  return egressEntries(egress).some(
    (entry) =>
      patternCovers(entry.host, host) &&
      entry.ports.includes(port) &&
      (entry.methods === null || entry.methods.includes(method)),
  );
}
