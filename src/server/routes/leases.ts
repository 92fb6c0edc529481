import { realpathSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import * as z from "zod";
import { pathFault } from "../../actions/index.ts";
import { rfc3339 } from "../../core/clock.ts";
import { isJsonObject, JsonError, parseJson } from "../../core/json.ts";
import { refuseUnauthenticated } from "../../gate/authenticate.ts";
import type { Gate } from "../../gate/gate.ts";
import { isRefusal, type Refusal, refuse } from "../../gate/refusal.ts";
import type { Answer } from "../../gate/respond.ts";
import { sessionRoot } from "../../gate/session-root.ts";
import { issueLease, narrowScopes, type PeerIdentity } from "../../identity/index.ts";
import { p256FromJson, thumbprint } from "../../keys/jwk.ts";
import { commit, makePayload } from "../../ledger/store/payloads.ts";
import { ok, peerUid, refusalAnswer, type ServerContext } from "../context.ts";
import type { FrontRequest } from "../front/index.ts";
import { principalCeiling } from "../identities.ts";
import { BOTH, type Route } from "../router.ts";

const leaseRequest = z.strictObject({
  scopes: z.array(z.string()),
  dpop_jwk: z.looseObject({ kty: z.string(), crv: z.string(), x: z.string(), y: z.string() }),
  budgets: z.looseObject({ max_calls: z.int().min(0).nullish() }).nullish(),
  fs_root: z.string().nullish(),
});

/** Sessions are kept this long beyond their lease, for what still waits or runs. */
const KEEP_MS = 3_600_000;

export const leaseRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/leases",
    sockets: BOTH,
    handle: async (context, request) => {
      const answer = await issue(context, request);
      if (!isRefusal(answer)) return answer;
      context.gate.shed.count(`uid:${peerUid(request)}`, answer.code);
      return refusalAnswer(answer);
    },
  },
];

async function issue(context: ServerContext, request: FrontRequest): Promise<Answer | Refusal> {
  const { gate } = context;
  const verdict = context.limiters.lease.take(`uid:${peerUid(request)}`);
  if (!verdict.ok)
    return refuse("rate_limit_exceeded", 429, "too many leases", {
      retryAfterSeconds: verdict.retryAfterSeconds,
    });
  if (gate.state.draining) return refuse("draining", 503, "the gate is stopping", { retryAfterSeconds: 5 });
  const identified = gate.principals.identify(request.peer);
  if (!identified.ok) return refuseUnauthenticated(identified);
  const { identity } = identified;
  const wanted = readRequest(await request.body());
  if (isRefusal(wanted)) return wanted;
  const scopes = narrowScopes(wanted.scopes, identity.scopes);
  if (!scopes.ok) return refuseUnauthenticated(scopes);
  const fsRoot = wanted.fs_root == null ? null : allowedRoot(gate, wanted.fs_root);
  if (fsRoot !== null && typeof fsRoot !== "string") return fsRoot;
  if (wanted.dpop_jwk.kty !== "EC" || wanted.dpop_jwk.crv !== "P-256")
    return refuse("invalid_request", 400, "dpop_jwk must be an EC key on P-256");
  const key = p256FromJson(wanted.dpop_jwk);
  if (key === null) return refuse("invalid_request", 400, "dpop_jwk is not a public key on P-256");
  const jkt = thumbprint(key.jwk);
  if (gate.operators.isOperatorKey(jkt))
    return refuse("identity_forbidden", 403, "an operator's key can't hold a lease", {
      hint: "use a key of the agent's own",
    });
  return grantLease(gate, request, {
    identity,
    jkt,
    scopes: scopes.scopes,
    fsRoot,
    maxCalls: wanted.budgets?.max_calls ?? null,
  });
}

function readRequest(body: Uint8Array): z.infer<typeof leaseRequest> | Refusal {
  try {
    const read = leaseRequest.safeParse(parseJson(body, { bytes: 65_536, depth: 8, items: 100 }));
    if (read.success && isJsonObject(read.data.dpop_jwk as never)) return read.data;
    return refuse("invalid_request", 422, "the lease request has unknown, missing or wrong members", {
      hint: '{"scopes":[…],"dpop_jwk":{kty,crv,x,y},"budgets"?:{"max_calls"?},"fs_root"?}',
    });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return refuse("bad_request", 400, `the body is not usable json: ${error.message}`);
  }
}

/** A root that a lease asks for: an existing folder, canonical, within what the operator allows. */
function allowedRoot(gate: Gate, wanted: string): string | Refusal {
  const invalid = (message: string) => refuse("invalid_fs_root", 400, message);
  if (!isAbsolute(wanted)) return invalid("fs_root must be an absolute path");
  let canonical: string;
  try {
    canonical = realpathSync(wanted);
    if (!statSync(canonical).isDirectory()) return invalid("fs_root is not a folder");
  } catch {
    return invalid("fs_root does not exist");
  }
  const root = sessionRoot(gate.fsRoots, canonical);
  if (root === null)
    return refuse("fs_root_denied", 403, "fs_root is outside the folders that this gate allows", {
      hint: "the operator lists them in [fs] allowed_roots",
    });
  const fault = root.below === "" ? null : pathFault(root.below);
  return fault === null ? canonical : invalid(`fs_root has a name that no path may have: ${fault}`);
}

interface WantedLease {
  readonly identity: PeerIdentity;
  readonly jkt: string;
  readonly scopes: readonly string[];
  readonly fsRoot: string | null;
  readonly maxCalls: number | null;
}

async function grantLease(gate: Gate, request: FrontRequest, wanted: WantedLease): Promise<Answer | Refusal> {
  const { identity, jkt, scopes, fsRoot } = wanted;
  const issuedAt = Math.floor(gate.clock.now() / 1000);
  const expiresAt = issuedAt + Math.floor(gate.config.lease.ttl_s);
  const ceilings = [wanted.maxCalls, identity.maxCalls].filter((calls) => calls !== null);
  const lease = {
    principal: identity.principal,
    tenant: identity.tenant,
    leaseId: gate.newId(),
    sessionId: gate.newId(),
    scopes,
    epoch: gate.state.epoch,
    maxCalls: ceilings.length === 0 ? null : Math.min(...ceilings),
    jkt,
    owner: identity.owner,
    issuedAt,
    expiresAt,
  };
  const token = issueLease(lease, gate.state.leaseSigner);
  const root = fsRoot === null ? null : makePayload("fs_root", Buffer.from(fsRoot));
  const result = await gate.ledger.act(
    "issueLease",
    {
      body: {
        trace_id: gate.newId(),
        tenant: lease.tenant,
        principal: lease.principal,
        session_id: lease.sessionId,
        lease_jti: lease.leaseId,
        jkt,
        scopes,
        identity_method: identity.method,
        peer_uid: request.peer?.uid ?? null,
        expires: rfc3339(expiresAt * 1000),
        max_calls: lease.maxCalls,
        epoch: lease.epoch,
        fs_root: root === null ? null : commit(root),
      },
      expiresMs: expiresAt * 1000,
      keepMs: KEEP_MS,
      principalMaxCalls: principalCeiling(gate.config, request.peer?.uid ?? null),
    },
    root === null ? [] : [root],
  );
  if (result === "revoked")
    return refuse("revoked", 401, "revoked while the lease was made", { hint: "try again" });
  return ok({
    lease_jwt: token,
    session_id: lease.sessionId,
    lease_jti: lease.leaseId,
    expires_at: rfc3339(expiresAt * 1000).replace(".000Z", "Z"),
    ...(fsRoot === null ? {} : { fs_root: fsRoot }),
  });
}
