import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import type { AnchorQuorum } from "../gate/acts/anchor.ts";
import type { Gate } from "../gate/gate.ts";
import type { Endpoint } from "../ledger/anchor/post.ts";
import {
  isOf,
  readCertificates,
  type TimestampAuthority,
  tokenOver,
} from "../ledger/anchor/timestamp/authority.ts";
import { askAuthority } from "../ledger/anchor/timestamp/client.ts";
import { LedgerError } from "../ledger/errors.ts";
import type { AnchorParty } from "./anchoring.ts";
import { type NewestCheckpoint, newestCheckpoint } from "./newest-checkpoint.ts";
import { StartError } from "./start-error.ts";

export interface ConfiguredAuthority {
  readonly authority: TimestampAuthority;
  /** Its certificates, as they were read. */
  readonly pem: string;
  readonly endpoint: Endpoint;
  /** Least time between two stamps; 0 for every checkpoint. */
  readonly intervalMs: number;
}

/** The time-stamp authorities of the configuration. Throws `config_invalid` when one could not be relied on. */
export function configuredAuthorities(dir: string, { evidence }: Config): readonly ConfiguredAuthority[] {
  const invalid = (what: string) => new StartError("config_invalid", `evidence.timestamps: ${what}`);
  const names = new Set<string>();
  const trustedElsewhere = new Set<string>();
  return evidence.timestamps.map(({ name, url, trust_file, policy, ca_file, unsafe_http, interval_s }) => {
    if (names.has(name)) throw invalid(`${name} is there twice`);
    names.add(name);
    const { pem, trusted } = trustedBy(resolve(dir, trust_file), invalid);
    // One authority under two names would count twice towards the quorum.
    const digests = trusted.map(({ der }) => der.toString("base64"));
    if (digests.some((digest) => trustedElsewhere.has(digest)))
      throw invalid(`${name} relies on a certificate of another authority`);
    for (const digest of digests) trustedElsewhere.add(digest);
    if (!url.startsWith("https:") && !unsafe_http)
      throw invalid(`${url} is not https; only unsafe_http = true allows that`);
    return {
      authority: { name, trusted, policy: policy ?? null },
      pem,
      endpoint: { url, ca: ca_file === undefined ? null : readFileSync(resolve(dir, ca_file), "utf8") },
      intervalMs: interval_s * 1000,
    };
  });
}

function trustedBy(
  path: string,
  invalid: (what: string) => StartError,
): { readonly pem: string; readonly trusted: TimestampAuthority["trusted"] } {
  try {
    const { pem, certificates } = readCertificates(path);
    return { pem, trusted: certificates };
  } catch (error) {
    if (error instanceof LedgerError) throw invalid(error.message);
    throw error;
  }
}

/** Further apart, and the gate tells its operator: one of the two clocks is wrong. */
const CLOCKS_AGREE_MS = 300_000;
const NONCE_BYTES = 8;

/** Has one time-stamp authority stamp checkpoints. */
export class TimestampParty implements AnchorParty {
  readonly title: string;
  private readonly gate: Gate;
  private readonly configured: ConfiguredAuthority;
  private readonly wanted: AnchorQuorum;
  private readonly report: (line: string) => void;
  /** By the gate's clock; null before the first stamp of this run. */
  private lastMs: number | null = null;

  constructor(
    gate: Gate,
    configured: ConfiguredAuthority,
    wanted: AnchorQuorum,
    report: (line: string) => void,
  ) {
    this.title = `time-stamp authority ${configured.authority.name}`;
    this.gate = gate;
    this.configured = configured;
    this.wanted = wanted;
    this.report = report;
  }

  async step(closed: () => boolean): Promise<boolean> {
    const { clock, config, ledger } = this.gate;
    const { authority, endpoint, intervalMs } = this.configured;
    if (this.lastMs !== null && clock.now() - this.lastMs < intervalMs) return false;
    const newest = newestCheckpoint(this.gate);
    if (newest === null || this.hasStamped(newest)) return false;
    const nonce = randomBytes(NONCE_BYTES).readBigUInt64BE();
    const answer = await askAuthority(authority, endpoint, {
      text: newest.text,
      nonce,
      timeoutMs: config.evidence.witness_timeout_s * 1000,
    });
    if (closed()) return false;
    if (answer.kind === "refused") {
      this.report(`${answer.code}: ${authority.name} at ${endpoint.url}: ${answer.detail}`);
      return false;
    }
    this.compareClocks(answer.token.time, clock.now());
    const outcome = await ledger.act("recordTimestamp", {
      size: newest.size,
      authority: authority.name,
      token: answer.der.toString("base64url"),
      nonce: nonce.toString(),
      ...this.wanted,
    });
    if (outcome === "unverified") return false;
    this.lastMs = clock.now();
    return true;
  }

  /** Whether this checkpoint has its stamp; a row that somebody planted must not keep the authority from being asked. */
  private hasStamped({ size, text }: NewestCheckpoint): boolean {
    const { authority } = this.configured;
    const row = this.gate.reader.db
      .query<{ token: unknown }, [number, string]>(
        "SELECT token FROM timestamps WHERE size = ? AND authority = ?",
      )
      .get(size, authority.name);
    const token = row?.token instanceof Uint8Array ? tokenOver(text, Buffer.from(row.token)) : null;
    return token !== null && isOf(authority, token);
  }

  /** The stamp is kept whichever clock is wrong: it is what shows it. */
  private compareClocks(stamped: number, now: number): void {
    if (Math.abs(stamped - now) > CLOCKS_AGREE_MS)
      this.report(
        `timestamp_clock: ${this.configured.authority.name} says ${new Date(stamped).toISOString()}, the gate's clock ${new Date(now).toISOString()}`,
      );
  }
}
