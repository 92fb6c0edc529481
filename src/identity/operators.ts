import { timingSafeEqual } from "node:crypto";
import { sha256 } from "../core/bytes.ts";
import { LatchGateError } from "../core/errors.ts";
import { isThumbprint } from "./lease-claims.ts";
import { isOperatorId, isPrincipalName, isTenantName } from "./names.ts";

/** One operator as configuration names them. */
export interface OperatorConfig {
  readonly id: string;
  /** RFC 7638 thumbprint of the key that signs their proofs. */
  readonly thumbprint: string;
  /** Hex SHA-256 of the token they present beside the key; absent, they present their id. */
  readonly token_sha256?: string;
  /** Principals that they act as; they may not approve the requests of these. */
  readonly principals?: readonly string[];
  /** The one tenant that they may see and decide for; absent for all. */
  readonly tenant?: string;
}

export interface Operator {
  readonly id: string;
  readonly thumbprint: string;
  readonly principals: readonly string[];
  readonly tenant: string | null;
}

/** As many as one entry of the log can name. */
const MOST_OPERATORS = 1024;
const MOST_PRINCIPALS = 256;

/** Who may act as an operator. Throws `operator_config_invalid` on what could let one person count as two. */
export class OperatorDirectory {
  private readonly entries: readonly { readonly operator: Operator; readonly tokenHash: Buffer }[];
  private readonly keys: ReadonlySet<string>;

  constructor(configs: Iterable<OperatorConfig>) {
    const entries: { operator: Operator; tokenHash: Buffer }[] = [];
    const keys = new Set<string>();
    const ids = new Set<string>();
    const tokens = new Set<string>();
    for (const config of configs) {
      const operator = readOperator(config);
      const tokenHash =
        config.token_sha256 === undefined ? sha256(operator.id) : Buffer.from(config.token_sha256, "hex");
      if (ids.has(operator.id)) throw invalid(operator.id, "is named twice");
      // One key or one token for two operators would let one person give two approvals.
      if (keys.has(operator.thumbprint)) throw invalid(operator.id, "has the key of another operator");
      if (tokens.has(tokenHash.toString("hex")))
        throw invalid(operator.id, "has the token of another operator");
      ids.add(operator.id);
      keys.add(operator.thumbprint);
      tokens.add(tokenHash.toString("hex"));
      if (entries.length === MOST_OPERATORS) throw invalid(operator.id, `is one more than ${MOST_OPERATORS}`);
      entries.push({ operator, tokenHash });
    }
    this.entries = entries;
    this.keys = keys;
  }

  /** Every operator, in the order of configuration. */
  list(): readonly Operator[] {
    return this.entries.map((entry) => entry.operator);
  }

  /** The operator whom this token names, or null. Compares with every entry, whichever it is. */
  byToken(token: string): Operator | null {
    const hash = sha256(token);
    let found: Operator | null = null;
    for (const entry of this.entries) if (timingSafeEqual(entry.tokenHash, hash)) found = entry.operator;
    return found;
  }

  /** Whether a key is an operator's. Such a key never gets a lease: an agent that holds it would approve itself. */
  isOperatorKey(jkt: string): boolean {
    return this.keys.has(jkt);
  }
}

function readOperator(config: OperatorConfig): Operator {
  const { id, thumbprint, principals = [], tenant } = config;
  if (!isOperatorId(id))
    throw invalid(String(id).slice(0, 128), "has an id that is not 1 to 128 of [A-Za-z0-9._@-]");
  if (!isThumbprint(thumbprint))
    throw invalid(id, "needs thumbprint, the base64url sha-256 of the public key");
  if (config.token_sha256 !== undefined && !/^[0-9a-f]{64}$/.test(config.token_sha256))
    throw invalid(id, "has a token_sha256 that is not 64 lower-case hex digits");
  if (!principals.every(isPrincipalName)) throw invalid(id, "has a principal that is not a principal's name");
  if (principals.length > MOST_PRINCIPALS) throw invalid(id, `has more than ${MOST_PRINCIPALS} principals`);
  if (tenant !== undefined && !isTenantName(tenant))
    throw invalid(id, "has a tenant that is not a tenant's name");
  return { id, thumbprint, principals: [...principals], tenant: tenant ?? null };
}

function invalid(id: string, what: string): LatchGateError {
  return new LatchGateError("operator_config_invalid", `operator ${JSON.stringify(id)} ${what}`);
}
