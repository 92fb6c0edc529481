/** The document that policy judges. Flat facts, no bodies, no secrets. */
export interface PolicyInput {
  readonly principal: string;
  readonly tenant: string;
  readonly session_id: string;
  readonly scopes: readonly string[];
  readonly required_scopes: readonly string[];
  readonly action: {
    readonly id: string;
    readonly version: string;
    readonly digest: string;
    readonly risk: Risk;
    readonly effects: readonly string[];
    readonly trust: "digest_ok" | "digest_mismatch" | "not_registered";
    /** True when the component computes its own requests inside a declared envelope: exactly with a plan of that kind. */
    readonly envelope: boolean;
  };
  readonly plan:
    | {
        readonly kind: "http";
        readonly method: string;
        readonly scheme: string;
        readonly host: string;
        readonly port: number;
        readonly path: string;
      }
    | {
        /** Requests that the component computes by itself, within these bounds. */
        readonly kind: "envelope";
        /** Exact ones, and `*.example.com` for any below; each of those is among the unresolved. */
        readonly hosts: readonly string[];
        readonly methods: readonly string[];
        /** Of paths. */
        readonly prefixes: readonly string[];
        readonly ports: readonly number[];
        /** Origins that may be spoken to without TLS. */
        readonly plain: readonly string[];
        /** Most requests. */
        readonly calls: number;
      }
    | { readonly kind: "fs"; readonly operation: string; readonly path: string }
    | {
        readonly kind: "database";
        readonly connection: string;
        readonly engine: string;
        /** `host:port/database`, or the path of a file. */
        readonly target: string;
        readonly access: string;
        readonly class: string;
        readonly tables: readonly string[];
      }
    | {
        readonly kind: "mail";
        readonly connection: string;
        readonly server: string;
        readonly from: string;
        readonly recipients: readonly string[];
        /** Lower case, each once. */
        readonly recipient_domains: readonly string[];
      }
    | {
        readonly kind: "queue";
        readonly connection: string;
        readonly server: string;
        readonly vhost: string;
        /** `(default)` for the default exchange. */
        readonly exchange: string;
        readonly routing_key: string;
      }
    | {
        readonly kind: "storage";
        readonly connection: string;
        readonly endpoint: string;
        readonly operation: string;
        readonly bucket: string;
        readonly key: string;
      };
  /** How the gate looks for the effect once it is done, with GET requests; null when it does not. */
  readonly read_back: {
    readonly kind: "http";
    /** The same scheme, host and port as the plan's: its credentials go there. */
    readonly scheme: string;
    readonly host: string;
    readonly port: number;
    /** `%7Bname%7D` stands where a value of the answer will. */
    readonly path: string;
    /** Names of those values, which the server chooses. */
    readonly values: readonly string[];
    /** Most requests. */
    readonly attempts: number;
  } | null;
  /** Names of the secrets that the plan asks for. */
  readonly secrets: readonly string[];
  /** Values of the parameters that the manifest lists in `policy_params`. */
  readonly params: { readonly [name: string]: string | number | boolean | null };
  /** Null means no limit. */
  readonly budget: { readonly calls_remaining: number | null };
  readonly unresolved: { readonly hosts: readonly string[]; readonly paths: readonly string[] };
  /** The approval under which the stored plan comes back; null on the first pass. An input, not a bypass. */
  readonly approval: { readonly id: string; readonly approvers: readonly string[] } | null;
  /** RFC 3339. */
  readonly time: string;
}

export type Risk = "low" | "medium" | "high" | "critical";

export interface PolicyReason {
  /** Stable, e.g. `acl_denied`. */
  readonly code: string;
  readonly text: string;
  /** The rule that spoke; shown to operators only. */
  readonly rule: string;
}

export interface PolicyDecision {
  readonly outcome: "allow" | "hold" | "deny";
  /**
   * Every reason to deny or hold, not the first alone, denials before holds; empty on a plain allow. An allow by
   * approval keeps the reasons of the hold that it answers.
   */
  readonly reasons: readonly PolicyReason[];
  /** Never more than the plan asks for; empty unless the outcome is allow. */
  readonly granted: {
    readonly hosts: readonly string[];
    readonly paths: readonly string[];
    readonly connections: readonly string[];
    readonly secrets: readonly string[];
  };
  /** From an engine: its `version`, on every decision. */
  readonly policy_version: string;
  /** Different approvers, the principal not among them, that a hold needs. */
  readonly obligations: { readonly quorum: number };
}

/** `policies/data.json`: who may do what. */
export interface PolicyData {
  readonly policy_version: string;
  /** By principal, `*` for those without an entry or with `inherits_wildcard`. */
  readonly acl: { readonly [principal: string]: AclEntry };
  readonly approvals?: { readonly quorum?: { readonly [risk in Risk]?: number } };
}

export interface AclEntry {
  readonly allowed_actions: readonly string[];
  readonly allowed_sinks: readonly string[];
  readonly inherits_wildcard?: boolean;
}

/** Evaluates one input; never throws for a malformed input or answer, it denies with `contract_violation`. */
export interface PolicyEngine {
  /** `<data policy_version>+<first 12 hex of the digest of wasm and data>`. */
  readonly version: string;
  evaluate(input: PolicyInput): PolicyDecision;
}
