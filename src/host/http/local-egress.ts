import { readFileSync } from "node:fs";
import type { HttpMethod } from "../../core/plan.ts";
import { parseTargetUrl, type TargetUrl } from "../../core/url.ts";
import { HostSetupError } from "../failure.ts";
import { addressBytes, isMulticast, isPublicAddress, isUnspecified, sameAddress } from "./addresses.ts";

/**
 * One `[[egress.local]]` entry: a private or loopback target that an operator opened for one action. Written in the
 * configuration only, never learned.
 */
export interface LocalEgress {
  /** Action id. */
  readonly action: string;
  readonly methods: readonly HttpMethod[];
  /** Starts with `/`; covers itself and what lies below it at a `/`. */
  readonly pathPrefix: string;
  /** The host name that the action's URL carries; also the name that its certificate must bear. */
  readonly host: string;
  /** The literal address that is dialled; no name is resolved. */
  readonly address: string;
  readonly port: number;
  /** PEM file with the only authorities trusted for this target; null takes the gate's own set. Asks for https. */
  readonly caFile: string | null;
}

/** A listener of the gate itself, which no entry may reach. `0.0.0.0` or `::` stands for every address. */
export interface ListenerAddress {
  readonly address: string;
  readonly port: number;
}

/** An entry as checked and loaded at start. */
export interface LocalTarget extends LocalEgress {
  /** PEM; null takes the gate's own set. */
  readonly ca: string | null;
}

/** Checks entries and reads their CA files. Throws {@link HostSetupError}. */
export function loadLocalEgress(entries: readonly LocalEgress[]): readonly LocalTarget[] {
  return entries.map((entry, i) => {
    const where = `egress.local entry ${i + 1}`;
    if (entry.action === "") throw new HostSetupError(`${where}: name the action it is for`);
    if (entry.methods.length === 0) throw new HostSetupError(`${where}: name at least one method`);
    if (!entry.pathPrefix.startsWith("/"))
      throw new HostSetupError(`${where}: the path prefix must start with /`);
    if (!Number.isInteger(entry.port) || entry.port < 1 || entry.port > 65_535)
      throw new HostSetupError(`${where}: the port must be between 1 and 65535`);
    if (normalHost(entry.host) !== entry.host)
      throw new HostSetupError(
        `${where}: write the host as a lower-case name or address, without port or path`,
      );
    if (addressBytes(entry.address) === null)
      throw new HostSetupError(`${where}: the address must be an ip literal; no name is resolved for it`);
    if (isUnspecified(entry.address) || isMulticast(entry.address))
      throw new HostSetupError(`${where}: the address must name one machine`);
    if (isPublicAddress(entry.address))
      throw new HostSetupError(`${where}: the address is public`, {
        hint: "public targets belong in the egress hosts of the action",
      });
    return { ...entry, ca: entry.caFile === null ? null : readCa(entry.caFile, where) };
  });
}

/** The entry that opens this target for this action; null when none does. */
export function findLocalTarget(
  targets: readonly LocalTarget[],
  action: string,
  method: HttpMethod,
  url: TargetUrl,
): LocalTarget | null {
  const found = targets.find(
    (target) =>
      target.action === action &&
      target.host === url.host &&
      target.port === url.port &&
      target.methods.includes(method) &&
      (target.ca === null || url.scheme === "https") &&
      below(target.pathPrefix, url.path),
  );
  return found ?? null;
}

/** Whether a dial would end at one of the gate's own listeners. */
export function reachesListener(target: ListenerAddress, listeners: readonly ListenerAddress[]): boolean {
  return listeners.some(
    (listener) =>
      listener.port === target.port &&
      (isUnspecified(listener.address) || sameAddress(listener.address, target.address)),
  );
}

/**
 * Path prefix at segment borders. A server may decode before it splits, so a path that decodes to a dot segment, a
 * backslash, a control character or nonsense is below nothing.
 */
function below(prefix: string, path: string): boolean {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return false;
  }
  if (/[\u0000-\u001f\u007f\\]/.test(decoded)) return false;
  if (decoded.split("/").some((segment) => /^(?:\.|%2e){1,2}(?:;.*)?$/i.test(segment))) return false;
  if (prefix.endsWith("/")) return path.startsWith(prefix);
  return path === prefix || path.startsWith(`${prefix}/`);
}

function normalHost(host: string): string | null {
  try {
    const url = parseTargetUrl(`https://${host.includes(":") ? `[${host}]` : host}/`);
    return url.port === 443 && url.path === "/" && url.query === "" ? url.host : null;
  } catch {
    return null;
  }
}

function readCa(file: string, where: string): string {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (cause) {
    throw new HostSetupError(`${where}: cannot read the ca file`, { cause });
  }
  if (!pem.includes("-----BEGIN CERTIFICATE-----"))
    throw new HostSetupError(`${where}: the ca file holds no pem certificate`);
  return pem;
}
