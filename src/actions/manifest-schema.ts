import { z } from "zod";
import { HTTP_METHODS } from "../core/plan.ts";
import { SECRET_MARK, SECRET_NAME } from "../core/secret-binding.ts";
import { requestHeaderFault, responseHeaderFault } from "./header-rules.ts";
import { exactHostFault, hostPatternFault } from "./host-pattern.ts";
import { ACTION_ID, LABEL, PARAMETER_NAME, SCOPE, VERSION } from "./names.ts";
import { closed, exactlyOne, json, jsonSchema, matching, parameter, ruled, whole } from "./schema-parts.ts";
import { databaseSection } from "./sections/database.ts";
import { envelopeSection } from "./sections/envelope.ts";
import { queueSection } from "./sections/queue.ts";
import { assertion, readBackSection, statuses } from "./sections/read-back.ts";
import { smtpSection } from "./sections/smtp.ts";
import { storageSection } from "./sections/storage.ts";

export const API_VERSION = "latchgate/v1";
export const RISK_LEVELS = ["low", "medium", "high", "critical"] as const;
/** HEAD and OPTIONS among them, as a manifest may probe. */
const method = z.enum(HTTP_METHODS);

const port = whole(1, 65_535);

const egressEntry = closed({
  host: ruled(hostPatternFault).describe(
    "An exact host name, or *.example.com for any name below example.com.",
  ),
  methods: z.array(method).min(1).optional().describe("Methods that may be used there; all when absent."),
  ports: z.array(port).min(1).default([443]),
});

const egress = closed({
  hosts: z
    .array(
      z.union([ruled(hostPatternFault), egressEntry], {
        error: "must be a host pattern or {host, methods, ports}",
      }),
    )
    .max(64)
    .default([]),
  learn: z
    .boolean()
    .default(false)
    .describe("Hosts outside the list may be asked for; each is held until a human approves."),
});

const scalarOrParameter = z.union([z.string(), z.number(), z.boolean(), parameter], {
  error: "must be text, a number, a boolean or {$param: name}",
});

const BODY_KINDS = ["json", "form", "text", "bytes"];
const oneBody = exactlyOne(BODY_KINDS);

const http = closed({
  method,
  url: z
    .string()
    .min(1)
    .max(2048)
    .describe("An RFC 6570 template, or {+url} for a parameter that is a whole URL."),
  headers: z
    .record(
      ruled(requestHeaderFault),
      z.union([z.string(), parameter], { error: "must be text or {$param: name}" }),
    )
    .default({}),
  body: closed({
    json: json
      .optional()
      .describe("Any JSON; {$param: name} stands for a parameter, never spliced into text."),
    form: z.record(z.string().min(1), scalarOrParameter).optional(),
    text: z.union([z.string(), parameter], { error: "must be text or {$param: name}" }).optional(),
    bytes: parameter.optional().describe("A parameter with contentEncoding base64."),
  })
    .refine(oneBody.check, oneBody.message)
    .optional(),
});

const oneContent = { error: "must have text, base64 or both" };

const fs = closed({
  operation: z.enum(["read", "write", "delete"]),
  path: parameter,
  content: closed({ text: parameter.optional(), base64: parameter.optional() })
    .refine((value) => Object.keys(value).length > 0, oneContent)
    .optional()
    .describe("For write; with both, a call gives exactly one."),
  mode: z
    .union([z.enum(["create", "overwrite"]), parameter], {
      error: "must be create, overwrite or {$param: name}",
    })
    .optional()
    .describe("For write; overwrite when absent."),
  expected_before_hash: parameter.optional().describe("sha256:<hex> that the old content must have."),
  allow: z.array(z.string().min(1)).min(1).max(256).describe("Globs; what matches none is held for a human."),
  deny: z
    .array(z.string().min(1))
    .max(256)
    .default([])
    .describe("Globs, regardless of case; they beat allow."),
  max_file_kb: whole(1, 65_536).default(1024),
});

const between = closed({ min: whole(0, 1_000_000).default(0), max: whole(0, 1_000_000).optional() }).refine(
  ({ min, max }) => max === undefined || min <= max,
  { error: "min must not be above max" },
);

const verify = z.discriminatedUnion(
  "kind",
  [
    closed({
      kind: z.literal("http"),
      status: statuses.optional().describe("Any 2xx when absent."),
      assert: z.array(assertion).max(32).default([]),
      read_back: readBackSection
        .optional()
        .describe("How the gate itself looks afterwards whether the effect is there."),
    }),
    closed({ kind: z.literal("fs_hash") }),
    closed({
      kind: z.literal("database"),
      rows: between.optional().describe("How many rows must come back."),
      affected: between.optional().describe("How many rows must have been changed."),
    }),
    closed({
      kind: z.literal("envelope"),
      status: statuses.optional().describe("That each answer may have; any 2xx when absent."),
      calls: between.optional().describe("How many requests must have been answered; 1 or more when absent."),
    }),
    closed({ kind: z.enum(["smtp", "queue", "storage"]) }),
    closed({ kind: z.literal("none") }),
  ],
  { error: "kind must be http, fs_hash, database, smtp, queue, storage, envelope or none" },
);

export const AUTH_PLACES = ["header", "bearer", "basic", "query", "path", "body"] as const;

const auth = closed({
  secret: matching(SECRET_NAME, "must be the name of a secret: A-Z, 0-9 and _, such as API_TOKEN"),
  in: z.enum(AUTH_PLACES).describe("bearer and basic are the authorization header."),
  name: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe("Header, query parameter, {name} in the path, JSON pointer or form field of the body."),
  format: z
    .string()
    .max(256)
    .refine((text) => text.split(SECRET_MARK).length === 2, { error: `must hold ${SECRET_MARK} once` })
    .optional()
    .describe("Text around the value; {secret} alone when absent."),
  hosts: z
    .array(ruled(exactHostFault))
    .min(1)
    .max(16)
    .describe("Exact hosts, each in egress, that may get the value; over https alone."),
  required: z
    .boolean()
    .default(true)
    .describe("Without its value the call is refused; an optional one is left out."),
});

/** The shape of a manifest, format `latchgate/v1`. Rules that look at several members are in cross-checks.ts. */
export const manifestSchema = closed({
  apiVersion: z.literal(API_VERSION, { error: `must be ${API_VERSION}` }),
  id: matching(ACTION_ID, "must be 1 to 128 of A-Z a-z 0-9 _ -, starting with a letter or digit"),
  version: matching(VERSION, "must be a version such as 1.0.0"),
  summary: matching(/^[^\p{Cc}]{1,200}$/u, "must be one line of 1 to 200 characters"),
  risk: closed({
    level: z.enum(RISK_LEVELS),
    because: matching(/^[^\p{Cc}]{1,500}$/u, "must be one line of 1 to 500 characters").optional(),
  }),
  tags: z.array(matching(LABEL, "must be lower case letters, digits, - and _")).max(32).default([]),
  effects: z.array(matching(LABEL, "must be lower case letters, digits, - and _")).min(1).max(16),
  provider: matching(
    /^(?:builtin:(?:http_api|fs|database|smtp|queue|storage)|sha256:[0-9a-f]{64})$/,
    "must be builtin: and one of http_api, fs, database, smtp, queue, storage, or sha256: and 64 hex digits of a component",
  ),
  params: jsonSchema.default({ type: "object" }).describe("JSON Schema 2020-12 of the parameters."),
  http: http.optional(),
  fs: fs.optional(),
  database: databaseSection.optional(),
  smtp: smtpSection.optional(),
  queue: queueSection.optional(),
  storage: storageSection.optional(),
  envelope: envelopeSection.optional(),
  egress: egress.prefault({}),
  auth: z.array(auth).max(8).default([]).describe("Credentials that the gate puts into the request."),
  verify: verify.default({ kind: "none" }),
  response: closed({
    headers: z.array(ruled(responseHeaderFault)).max(32).default([]),
    schema: jsonSchema.optional().describe("JSON Schema 2020-12 that the remote body must meet."),
  }).prefault({}),
  limits: closed({
    timeout_s: whole(1, 600).default(30).describe("From grant to receipt."),
    fuel: whole(1_000, 10_000_000_000)
      .default(5_000_000)
      .describe("How much the component may compute; docs/providers.md says what it counts."),
    memory_mb: whole(1, 1024).default(64),
    io_calls: whole(1, 100).default(2),
    request_kb: whole(1, 1024)
      .default(64)
      .describe("Most that the parameters, and the planned body, may take."),
    response_kb: whole(1, 65_536).default(1024),
  }).prefault({}),
  policy_params: z.array(matching(PARAMETER_NAME, "must be the name of a parameter")).max(16).default([]),
  required_scopes: z
    .array(matching(SCOPE, "must be a scope such as tools:call"))
    .min(1)
    .max(16)
    .default(["tools:call"]),
  cost: closed({ cents: whole(0, 1_000_000).default(0) }).prefault({}),
  override: closed({
    reason: matching(/^[^\p{Cc}]{8,500}$/u, "must be one line of 8 to 500 characters"),
  })
    .optional()
    .describe(
      "Why this file may replace one with a higher risk, a narrower egress or a stronger verification.",
    ),
});

/** A manifest with its defaults applied. */
export type Manifest = z.output<typeof manifestSchema>;
export type HttpSection = NonNullable<Manifest["http"]>;
export type FsSection = NonNullable<Manifest["fs"]>;
export type AuthEntry = Manifest["auth"][number];
export type Verify = Manifest["verify"];
export type RiskLevel = (typeof RISK_LEVELS)[number];
export type DatabaseSection = NonNullable<Manifest["database"]>;
export type EnvelopeSection = NonNullable<Manifest["envelope"]>;
export type StorageSection = NonNullable<Manifest["storage"]>;
export type QueueSection = NonNullable<Manifest["queue"]>;
export type SmtpSection = NonNullable<Manifest["smtp"]>;
