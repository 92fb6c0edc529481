import { LatchGateError } from "../core/errors.ts";
import { DEFAULT_TENANT, isPrincipalName, isTenantName } from "./names.ts";
import type { PeerCredentials } from "./peercred.ts";
import { type IdentityRefusal, refuseIdentity } from "./refusal.ts";
import { isScope } from "./scopes.ts";

/** What configuration says of one account. */
export interface PrincipalConfig {
  /** Absent, `uid:<n>`. */
  readonly principal?: string;
  readonly tenant?: string;
  /** Absent or empty: any scope. */
  readonly scopes?: readonly string[];
  /** Most calls of one lease; absent for no limit. */
  readonly max_calls?: number;
  /** The person who answers for it, shown in evidence. */
  readonly owner?: string;
}

export interface PrincipalsConfig {
  /** By uid, in decimal. */
  readonly uids: { readonly [uid: string]: PrincipalConfig };
  /** Whether accounts without an entry may have a lease, as `uid:<n>` in the default tenant. Never root. */
  readonly allow_unmapped?: boolean;
}

export interface PeerIdentity {
  readonly principal: string;
  readonly tenant: string;
  /** Empty for any. */
  readonly scopes: readonly string[];
  /** Null for no limit. */
  readonly maxCalls: number | null;
  readonly owner: string | null;
  /** How it was proven, for evidence. */
  readonly method: "peercred" | "peercred:unmapped";
}

/** What the kernel shows in place of an account that has no number here (another user namespace). */
const OVERFLOW_UID = 65_534;
const UID = /^(?:0|[1-9][0-9]{0,9})$/;
/** Names that say how a principal was proven; configuration must not lend them out. */
const PROVEN_ELSEWHERE = /^(?:uid|agent|oidc):/i;

/** Turns peer credentials into principals. Throws `principal_config_invalid`. */
export class PrincipalDirectory {
  private readonly byUid: ReadonlyMap<number, PeerIdentity>;
  private readonly allowUnmapped: boolean;

  constructor(config: PrincipalsConfig) {
    const byUid = new Map<number, PeerIdentity>();
    for (const [uid, entry] of Object.entries(config.uids)) byUid.set(readUid(uid), readEntry(uid, entry));
    this.byUid = byUid;
    this.allowUnmapped = config.allow_unmapped ?? false;
  }

  /** @param peer null when the transport has no peer credentials */
  identify(
    peer: PeerCredentials | null,
  ): { readonly ok: true; readonly identity: PeerIdentity } | IdentityRefusal {
    if (peer === null)
      return refuseIdentity(
        "identity_unauthenticated",
        "this listener does not tell who is calling; use the socket",
      );
    const mapped = this.byUid.get(peer.uid);
    if (mapped !== undefined) return { ok: true, identity: mapped };
    if (!this.allowUnmapped || peer.uid === 0 || peer.uid === OVERFLOW_UID)
      return refuseIdentity("identity_forbidden", `uid ${peer.uid} is not a known principal`);
    return {
      ok: true,
      identity: {
        principal: `uid:${peer.uid}`,
        tenant: DEFAULT_TENANT,
        scopes: [],
        maxCalls: null,
        owner: null,
        method: "peercred:unmapped",
      },
    };
  }
}

function readUid(text: string): number {
  const uid = UID.test(text) ? Number(text) : Number.NaN;
  if (!(uid < 0xffff_ffff)) throw invalid(text, "is not a uid");
  if (uid === OVERFLOW_UID)
    throw invalid(text, "stands for every account of other user namespaces; it cannot be one");
  return uid;
}

function readEntry(uid: string, entry: PrincipalConfig): PeerIdentity {
  const {
    principal = `uid:${uid}`,
    tenant = DEFAULT_TENANT,
    scopes = [],
    max_calls: maxCalls,
    owner,
  } = entry;
  if (!isPrincipalName(principal)) throw invalid(uid, "has a principal that is not a principal's name");
  if (principal !== `uid:${uid}` && PROVEN_ELSEWHERE.test(principal))
    throw invalid(uid, "may not use a name that starts with uid:, agent: or oidc:");
  if (!isTenantName(tenant)) throw invalid(uid, "has a tenant that is not 1 to 64 of [a-z0-9_-]");
  if (!scopes.every(isScope)) throw invalid(uid, "has a scope that does not look like tools:call");
  if (maxCalls !== undefined && !(Number.isSafeInteger(maxCalls) && maxCalls >= 0))
    throw invalid(uid, "has a max_calls that is not a whole number");
  if (owner !== undefined && !/^[\x21-\x7e]{1,256}$/.test(owner))
    throw invalid(uid, "has an owner that is not 1 to 256 visible characters");
  return {
    principal,
    tenant,
    scopes: [...scopes],
    maxCalls: maxCalls ?? null,
    owner: owner ?? null,
    method: "peercred",
  };
}

function invalid(uid: string, what: string): LatchGateError {
  return new LatchGateError(
    "principal_config_invalid",
    `principal of uid ${JSON.stringify(uid.slice(0, 32))} ${what}`,
  );
}
