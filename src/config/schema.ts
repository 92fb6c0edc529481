import * as z from "zod";

const count = (fallback: number) => z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(fallback);
const positive = (fallback: number) => z.int().min(1).max(Number.MAX_SAFE_INTEGER).default(fallback);
const seconds = (fallback: number, longest = 86_400) => z.number().positive().max(longest).default(fallback);
const name = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, "printable ascii without blanks");
const thumbprint = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "an rfc 7638 thumbprint");
const mode = z.string().regex(/^0[0-7]{3}$/, 'an octal mode such as "0600"');

const principal = z.strictObject({
  /** Who an account is in policy and evidence; `uid:<n>` when not named. */
  principal: name.optional(),
  tenant: name.default("default"),
  /** Scopes that its leases may carry; empty means any. */
  scopes: z.array(name).default([]),
  /** The person who answers for it. */
  owner: name.optional(),
  /** Most calls of one lease; no limit when absent. */
  max_calls: z.int().min(0).optional(),
  /** Ceiling per UTC day over all its leases; none when absent. */
  max_calls_per_day: z.int().min(0).optional(),
});

const operator = z.strictObject({
  /** RFC 7638 thumbprint of the operator's public P-256 key. The gate never holds the key. */
  thumbprint,
  /** SHA-256 (hex) of the token that must accompany each proof; without it the token is the operator's id. */
  token_sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** Principals that this operator acts as; their requests it can't approve. */
  principals: z.array(name).default([]),
  /** Only this tenant's holds and receipts; all when absent. */
  tenant: name.optional(),
});

const localEgress = z.strictObject({
  action: name,
  methods: z.array(z.string()).min(1),
  path_prefix: z.string().startsWith("/"),
  /** The name in the URL, and in the certificate. */
  host: z.string().min(1),
  /** The literal address that is dialled. */
  address: z.string().min(1),
  port: z.int().min(1).max(65_535),
  /** PEM file with the certificate authorities for this endpoint. */
  ca_file: z.string().optional(),
});

/** `latchgate.toml`. Every key has a default, so that an empty file is a valid one. */
export const configSchema = z.strictObject({
  /** The base of DPoP `htu` for clients; sockets accept `http://localhost` as well. */
  public_base_url: z
    .string()
    .regex(/^https?:\/\/[^/?#]+$/, "scheme and authority only")
    .default("http://localhost:3000"),
  listen: z
    .strictObject({
      /** Relative paths are below the project folder's `.latchgate`. */
      client_socket: z.string().min(1).default("runtime/gate.sock"),
      client_mode: mode.default("0600"),
      /** Group name or number that owns the client socket. */
      client_group: z.string().optional(),
      admin_socket: z.string().min(1).default("runtime/gate-admin.sock"),
      admin_mode: mode.default("0600"),
      admin_group: z.string().optional(),
    })
    .prefault({}),
  identity: z
    .strictObject({
      /** Accounts without an entry become `uid:<n>`; otherwise they get no lease. */
      allow_unmapped: z.boolean().default(false),
      principals: z.record(z.string().regex(/^\d+$/, "a uid"), principal).default({}),
    })
    .prefault({}),
  operators: z.record(name, operator).default({}),
  lease: z
    .strictObject({
      ttl_s: seconds(300, 3600),
      /** How long leases of a replaced key stay valid at most. */
      key_grace_s: count(3600),
    })
    .prefault({}),
  approvals: z.strictObject({ ttl_s: seconds(300), max_pending_per_principal: positive(100) }).prefault({}),
  actions: z
    .strictObject({
      /** Registers only these ids; all when absent. */
      only: z.array(name).optional(),
    })
    .prefault({}),
  fs: z
    .strictObject({
      /** Folder that file actions work in; relative to the project folder. */
      root: z.string().min(1).default("."),
      /** Folders within which a lease may ask for another root; the root itself always may be. */
      allowed_roots: z.array(z.string()).default([]),
    })
    .prefault({}),
  egress: z
    .strictObject({
      /** DNS servers, `address` or `address:port`; the system's when empty. */
      dns_servers: z.array(z.string()).default([]),
      local: z.array(localEgress).default([]),
    })
    .prefault({}),
  sandbox: z
    .strictObject({
      runners: positive(2),
      max_in_flight: positive(256),
      queue: count(1024),
    })
    .prefault({}),
  ledger: z
    .strictObject({
      /** Acts that may share one commit. */
      group_limit: positive(64),
    })
    .prefault({}),
  limits: z
    .strictObject({
      connections: positive(1024),
      connections_per_uid: positive(256),
      body_bytes: positive(1_048_576),
      header_bytes: positive(16_384),
      headers: positive(100),
      header_timeout_s: seconds(10),
      request_timeout_s: seconds(30),
      keep_alive_s: seconds(60),
      /** How long SIGTERM waits for running calls. */
      drain_s: seconds(20),
      replay_entries: positive(100_000),
      replay_entries_per_key: positive(20_000),
      /** Refusals of one principal that are recorded one by one per minute; the rest is counted in summaries. */
      denials_per_minute: count(120),
    })
    .prefault({}),
  /** Requests per second; the burst is the same number. */
  rate_limits: z
    .strictObject({
      /** Before authentication, per peer account and socket. */
      peer_rps: positive(200),
      lease_rps: positive(50),
      /** Executions of one lease. */
      execute_rps_per_session: positive(50),
      operator_write_rps: positive(20),
      operator_read_rps: positive(100),
    })
    .prefault({}),
});

export type Config = z.infer<typeof configSchema>;
