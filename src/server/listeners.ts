import { readFileSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { LatchGateError } from "../core/errors.ts";
import type { FrontLimits } from "./front/index.ts";

/** The listener's limits as configuration has them; times in milliseconds. */
export function frontLimits({ limits }: Config): Partial<FrontLimits> {
  return {
    headerMs: limits.header_timeout_s * 1000,
    requestMs: limits.request_timeout_s * 1000,
    idleMs: limits.keep_alive_s * 1000,
    headerBytes: limits.header_bytes,
    headerCount: limits.headers,
    bodyBytes: limits.body_bytes,
    connections: limits.connections,
    connectionsPerUid: limits.connections_per_uid,
  };
}

/** The group that shall own a socket, by name or number. Throws `config_invalid` for one that does not exist. */
export function resolveGroup(group: string | undefined): { readonly gid?: number } {
  if (group === undefined) return {};
  if (/^\d+$/.test(group)) return { gid: Number(group) };
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((candidate) => candidate.startsWith(`${group}:`));
  const gid = line?.split(":")[2];
  if (gid === undefined) throw new LatchGateError("config_invalid", `there is no group ${group}`);
  return { gid: Number(gid) };
}
