import * as z from "zod";

const name = z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/, "lower case letters, digits, - and _");
const secret = z.string().regex(/^[A-Z][A-Z0-9_]{0,127}$/, "the name of a secret, such as ORDERS_PASSWORD");
const host = z
  .string()
  .regex(
    /^(?:[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|[0-9a-f:]+)$/,
    "a lower-case host name or an address",
  );
const port = (usual: number) => z.int().min(1).max(65_535).default(usual).describe("Port there.");
const account = z.string().min(1).max(128);
const text = z.string().min(1).max(256);

const hostKey = host.describe("Where it runs; also the name in its certificate.");
const tls = z
  .enum(["verify", "off"])
  .default("verify")
  .describe("`off` sends everything in clear text, and is for a literal loopback address alone.");
const caFile = z
  .string()
  .optional()
  .describe("PEM file with the authorities for it, below the project folder; the usual ones when absent.");
const passwordSecret = secret
  .optional()
  .describe("Name of the secret that holds the password; without one there is none.");
const nameKey = name.describe("What manifests call it.");

const database = z.strictObject({
  name: nameKey,
  engine: z.enum(["postgresql", "sqlite"]).default("postgresql").describe("Kind of database."),
  host: hostKey
    .optional()
    .describe("For postgresql, required: where it runs; also the name in its certificate."),
  port: port(5432),
  database: text.optional().describe("For postgresql, required: name of the database."),
  user: account
    .optional()
    .describe("For postgresql, required: the role; give it no more rights than the actions need."),
  schema: text.default("public").describe("The one schema that names without a schema are looked up in."),
  file: z
    .string()
    .min(1)
    .optional()
    .describe("For sqlite, required: the file, relative to the project folder."),
  tables: z
    .array(text)
    .min(1)
    .optional()
    .describe("The tables that actions may name there; without it, those that a manifest lists."),
  password_secret: passwordSecret,
  tls,
  ca_file: caFile,
});

const smtp = z.strictObject({
  name: nameKey,
  host: hostKey,
  port: port(587),
  start: z.enum(["starttls", "implicit"]).default("starttls").describe("How TLS begins."),
  from: text.describe("The sender of every message, a bare address."),
  user: account.optional().describe("The account; without one there is no login."),
  domains: z
    .array(text)
    .min(1)
    .optional()
    .describe("Domains that actions may send to; without it, those that a manifest lists."),
  password_secret: passwordSecret,
  tls,
  ca_file: caFile,
});

const amqp = z.strictObject({
  name: nameKey,
  host: hostKey,
  port: port(5671),
  vhost: text.default("/").describe("Virtual host."),
  user: account.describe("The account."),
  exchanges: z
    .array(z.string().max(127))
    .min(1)
    .optional()
    .describe("Exchanges that actions may name; without it, those that a manifest lists."),
  routing_keys: z
    .array(text)
    .min(1)
    .optional()
    .describe(
      "Routing keys that actions may name, `orders.*` for any that begins so; without it, those that a manifest lists.",
    ),
  password_secret: passwordSecret,
  tls,
  ca_file: caFile,
});

const s3 = z.strictObject({
  name: nameKey,
  host: hostKey,
  port: port(443),
  region: text.default("us-east-1").describe("Region of the signature."),
  addressing: z
    .enum(["path", "host"])
    .default("path")
    .describe("Whether the bucket stands in the path or before the host."),
  buckets: z
    .array(text)
    .min(1)
    .optional()
    .describe("Buckets that actions may name; without it, those that a manifest lists."),
  keys: z
    .array(z.string().min(1).max(1024))
    .min(1)
    .optional()
    .describe("Globs of keys that actions may name; without it, those that a manifest lists."),
  access_key_id: text.describe("Names the key pair."),
  secret_key_secret: secret.describe("Name of the secret that holds the secret access key."),
  tls,
  ca_file: caFile,
});

/** `[[connections.*]]`: the endpoints beside HTTP that actions may name. */
export const connectionsSchema = z.strictObject({
  database: z.array(database).max(64).default([]).describe("Databases."),
  smtp: z.array(smtp).max(64).default([]).describe("Mail servers."),
  amqp: z.array(amqp).max(64).default([]).describe("Message brokers (AMQP 0-9-1)."),
  s3: z.array(s3).max(64).default([]).describe("Object stores (S3)."),
});

export type ConnectionsConfig = z.infer<typeof connectionsSchema>;
