import * as z from "zod";
import { connectionsSchema } from "./connections.ts";

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
  principal: name.optional().describe("Who the account is in policy and evidence; `uid:<n>` when absent."),
  tenant: name.default("default").describe("The tenant that it belongs to."),
  scopes: z.array(name).default([]).describe("Scopes that its leases may carry; empty means any."),
  owner: name.optional().describe("The person who answers for it."),
  max_calls: z.int().min(0).optional().describe("Most calls of one lease; no limit when absent."),
  max_calls_per_day: z
    .int()
    .min(0)
    .optional()
    .describe("Ceiling per UTC day over all its leases; none when absent."),
});

const operator = z.strictObject({
  thumbprint: thumbprint.describe(
    "RFC 7638 thumbprint of the operator's public P-256 key. The gate never holds the key.",
  ),
  token_sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "64 hex digits")
    .optional()
    .describe(
      "SHA-256 of the token that must accompany each proof; when absent the token is the operator's id.",
    ),
  principals: z
    .array(name)
    .default([])
    .describe("Principals that this operator acts as; their requests it can't approve."),
  tenant: name.optional().describe("Only this tenant's holds and receipts; all when absent."),
});

const localEgress = z.strictObject({
  action: name.describe("The action that may go there."),
  methods: z.array(z.string()).min(1).describe("HTTP methods, in upper case."),
  path_prefix: z.string().startsWith("/").describe("Covers itself and what lies below it at a `/`."),
  host: z.string().min(1).describe("The name in the URL, and in the certificate."),
  address: z.string().min(1).describe("The literal private address that is dialled."),
  port: z.int().min(1).max(65_535).describe("Port in the URL, and dialled."),
  ca_file: z
    .string()
    .optional()
    .describe(
      "PEM file with the authorities for this endpoint, below the project folder; the usual ones when absent.",
    ),
});

const mirror = z.strictObject({
  path: z
    .string()
    .startsWith("/", "an absolute path")
    .describe("A file outside of the project folder, for this log alone; best on another disk or machine."),
});

const witness = z.strictObject({
  url: z
    .string()
    .regex(/^https?:\/\/[^?#\s]+$/, "a url without query")
    .describe("Submission prefix; `/add-checkpoint` is put behind it."),
  vkey: z
    .string()
    .regex(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}$/, "a c2sp verifier key")
    .describe("The witness's C2SP verifier key, of type 0x04 (Ed25519 cosignature)."),
  ca_file: z
    .string()
    .optional()
    .describe("PEM file with the authorities for it, below the project folder; the usual ones when absent."),
  unsafe_http: z
    .boolean()
    .default(false)
    .describe(
      "Allows a URL with `http:`, whose answers others can keep back; those that come are verified all the same.",
    ),
});

const timestamp = z.strictObject({
  name: name.describe("What to call it, in the log and to people."),
  url: z
    .string()
    .regex(/^https?:\/\/[^#\s]+$/, "a url")
    .describe("Where requests are posted."),
  trust_file: z
    .string()
    .min(1)
    .describe(
      "PEM file with the certificates of which one must vouch for its stamps, below the project folder. An authority may share none with another.",
    ),
  policy: z
    .string()
    .regex(
      /^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9][0-9]{0,8}))(?:\.(?:0|[1-9][0-9]{0,9})){0,14}$/,
      "a dotted object identifier",
    )
    .optional()
    .describe("Policy that its stamps must be under, as a dotted object identifier; any when absent."),
  interval_s: count(0).describe(
    "Least time between two stamps, for authorities that want few requests; 0 for every checkpoint.",
  ),
  ca_file: z
    .string()
    .optional()
    .describe(
      "PEM file with the authorities for its TLS certificate, below the project folder; the usual ones when absent.",
    ),
  unsafe_http: z
    .boolean()
    .default(false)
    .describe(
      "Allows a URL with `http:`, whose answers others can keep back; those that come are verified all the same.",
    ),
});

/**
 * `latchgate.toml`. Every key has a default, so that an empty file is a valid one. The descriptions are those of
 * docs/configuration.md.
 */
export const configSchema = z.strictObject({
  public_base_url: z
    .string()
    .regex(/^https?:\/\/[^/?#]+$/, "scheme and authority only")
    .default("http://localhost:3000")
    .describe("Base of the `htu` of proofs; `http://localhost` is taken as well."),
  listen: z
    .strictObject({
      client_socket: z
        .string()
        .min(1)
        .default("runtime/gate.sock")
        .describe("Where agents connect; relative paths are below the project folder."),
      client_mode: mode.default("0600").describe("Mode of the client socket."),
      client_group: z.string().optional().describe("Group (name or number) that owns the client socket."),
      admin_socket: z.string().min(1).default("runtime/gate-admin.sock").describe("Where operators connect."),
      admin_mode: mode.default("0600").describe("Mode of the admin socket."),
      admin_group: z.string().optional().describe("Group that owns the admin socket."),
    })
    .prefault({})
    .describe("Unix sockets."),
  identity: z
    .strictObject({
      allow_unmapped: z
        .boolean()
        .default(false)
        .describe("Accounts without an entry become `uid:<n>`; otherwise they get no lease."),
      principals: z
        .record(z.string().regex(/^\d+$/, "a uid"), principal)
        .default({})
        .describe("Accounts of this machine that may ask, by uid."),
    })
    .prefault({})
    .describe("Who may ask."),
  operators: z.record(name, operator).default({}).describe("Who may decide on held calls, by operator id."),
  lease: z
    .strictObject({
      ttl_s: seconds(300, 3600).describe("How long a lease is good."),
      key_grace_s: count(3600).describe("How long leases of a replaced key stay good at most."),
    })
    .prefault({})
    .describe("Leases."),
  approvals: z
    .strictObject({
      ttl_s: seconds(300).describe("How long a held call waits for a decision."),
      max_pending_per_principal: positive(100).describe("Calls of one principal that may wait at a time."),
    })
    .prefault({})
    .describe("Held calls. How many approvers a risk needs is policy data."),
  actions: z
    .strictObject({
      only: z.array(name).optional().describe("Registers only these ids; all when absent."),
    })
    .prefault({})
    .describe("The catalogue."),
  fs: z
    .strictObject({
      root: z
        .string()
        .min(1)
        .default(".")
        .describe("Folder that file actions work in; relative to the folder that holds the project folder."),
      allowed_roots: z
        .array(z.string())
        .default([])
        .describe(
          "Folders at or below which a lease may ask for a root of its own; the root above is always one of them.",
        ),
    })
    .prefault({})
    .describe("File actions."),
  egress: z
    .strictObject({
      dns_servers: z
        .array(z.string())
        .default([])
        .describe("DNS servers, `address` or `address:port`; the system's when empty."),
      local: z.array(localEgress).default([]).describe("Private targets that are open, each for one action."),
      proxy: z
        .string()
        .regex(/^http:\/\/[^/?#@\s]+$/, "http://host:port, without a user")
        .optional()
        .describe(
          "Proxy for HTTP and object stores at public addresses, asked by CONNECT for the judged address; none when absent. Mail servers, message brokers and databases are dialled directly.",
        ),
      proxy_secret: z
        .string()
        .regex(/^[A-Z][A-Z0-9_]{0,63}$/, "the name of a secret")
        .optional()
        .describe("Secret with the `user:password` that the proxy asks for."),
    })
    .prefault({})
    .describe("Where HTTP actions may go beside what their manifests list."),
  connections: connectionsSchema
    .prefault({})
    .describe("Endpoints that manifests name. An action reaches nothing that is not listed here."),
  secrets: z
    .strictObject({
      file: z
        .string()
        .min(1)
        .default("secrets.enc.yaml")
        .describe(
          "SOPS file with the credentials that actions use (`.yaml`, `.json` or `.env`), below the project folder. It need not exist.",
        ),
      identity_file: z
        .string()
        .min(1)
        .default("secrets-identity.txt")
        .describe(
          "File with the age identities that open it, mode 0600, below the project folder; one outside of it only after `latchgate trust`.",
        ),
      identity_env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a variable")
        .optional()
        .describe(
          "Variable that holds the identities, in place of the file. Taken only after `latchgate trust`.",
        ),
      identity_command: z
        .array(z.string().min(1))
        .min(1)
        .max(64)
        .refine((argv) => argv[0]?.startsWith("/") === true, "the program must be an absolute path")
        .optional()
        .describe(
          "Program and arguments that print the identities, in place of the file. It runs without a shell, within 5 s, and only after `latchgate trust`.",
        ),
    })
    .refine(
      (table) => table.identity_env === undefined || table.identity_command === undefined,
      "identity_env and identity_command are alternatives",
    )
    .prefault({})
    .describe("Where credentials come from. See [secrets](secrets.md)."),
  sandbox: z
    .strictObject({
      runners: positive(2).describe("Runner processes for built-in components."),
      operator_runners: positive(8).describe(
        "Runner processes for components of operators, together. Each component has one of its own for each tenant; an idle one makes room for another.",
      ),
      max_in_flight: positive(256).describe(
        "Calls that one runner has at a time, those that wait for the host included.",
      ),
      max_running: positive(32).describe("Those of them that do not wait for the host: they share a thread."),
      queue: count(1024).describe(
        "Calls that may wait for a place, built-in components and each of operators' own apart. Further ones are answered with 503.",
      ),
      recycle_after: positive(100_000).describe("Calls after which a runner is replaced."),
      unsafe_unlocked: z
        .boolean()
        .default(false)
        .describe(
          "Lets the gate start where runners can't be locked: a fault in the WebAssembly engine then gives a component whatever the gate's account may do, keys and credentials included. For platforms that lack a layer, and components that you trust as you trust the gate.",
        ),
    })
    .prefault({})
    .describe("Runner processes, which are locked before they are given a component."),
  ledger: z
    .strictObject({
      group_limit: positive(64).describe("Acts that may share one commit."),
    })
    .prefault({})
    .describe("The log."),
  evidence: z
    .strictObject({
      checkpoint_entries: positive(1000).describe("Entries after which a checkpoint is signed."),
      checkpoint_seconds: seconds(60).describe("How long new entries wait for a checkpoint at most."),
      mirrors: z
        .array(mirror)
        .max(16)
        .default([])
        .describe(
          "Files that each checkpoint is appended to. The gate starts only on a log that extends them.",
        ),
      witnesses: z
        .array(witness)
        .max(16)
        .default([])
        .describe("C2SP witnesses that are asked to cosign each checkpoint."),
      timestamps: z
        .array(timestamp)
        .max(16)
        .default([])
        .describe("RFC 3161 time-stamp authorities that are asked to stamp each checkpoint."),
      quorum: z
        .int()
        .min(1)
        .max(32)
        .optional()
        .describe(
          "How many of the witnesses and time-stamp authorities together must sign before a checkpoint counts as anchored; all when absent.",
        ),
      checkpoint_overlap_s: count(604_800).describe(
        "How long a replaced checkpoint key goes on signing checkpoints beside the new one; 0 for not at all.",
      ),
      witness_timeout_s: seconds(10, 120).describe(
        "How long a witness or time-stamp authority may take to answer.",
      ),
    })
    .prefault({})
    .describe("Keys and checkpoints of the log, and who else keeps them."),
  payloads: z
    .strictObject({
      keep_days: z
        .int()
        .min(1)
        .max(36_500)
        .optional()
        .describe("How long parameters, plans and outputs are kept; for ever when absent."),
    })
    .prefault({})
    .describe("Stored bodies. The log keeps its commitments to them for good."),
  limits: z
    .strictObject({
      connections: positive(1024).describe("Open connections."),
      connections_per_uid: positive(256).describe("Open connections of one account."),
      body_bytes: positive(1_048_576).describe("Largest request body."),
      header_bytes: positive(16_384).describe("Largest request line and headers."),
      headers: positive(100).describe("Most headers of a request."),
      header_timeout_s: seconds(10).describe("For the head of a request to arrive."),
      request_timeout_s: seconds(30).describe("For the body of a request to arrive."),
      keep_alive_s: seconds(60).describe("How long an idle connection stays open."),
      drain_s: seconds(20).describe("How long SIGTERM waits for running calls."),
      replay_entries: positive(100_000).describe("Used proofs that are remembered."),
      replay_entries_per_key: positive(20_000).describe("Used proofs of one key that are remembered."),
      denials_per_minute: count(120).describe(
        "Refusals of one principal that are recorded one by one per minute; the rest is counted in summaries.",
      ),
    })
    .prefault({})
    .describe("Bounds on load, time and memory."),
  rate_limits: z
    .strictObject({
      peer_rps: positive(200).describe("Before authentication, per account and socket."),
      lease_rps: positive(50).describe("Lease requests of one account."),
      execute_rps_per_session: positive(50).describe("Executions of one lease."),
      operator_write_rps: positive(20).describe("Changes by one operator."),
      operator_read_rps: positive(100).describe("Reads by one operator."),
    })
    .prefault({})
    .describe("Requests per second; the burst is the same number."),
  log: z
    .strictObject({
      components: z
        .enum(["debug", "info", "warn", "off"])
        .default("info")
        .describe("The least level of what components log that is written; off for nothing of it."),
    })
    .prefault({})
    .describe("The operator's log: what `serve` writes to stderr, beside its own lines, as JSON."),
});

export type Config = z.infer<typeof configSchema>;
