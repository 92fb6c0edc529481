import { z } from "zod";
import { isBucketName } from "../../core/object-key.ts";
import { closed, matching, parameter, ruled, whole } from "../schema-parts.ts";

export const bucketName = ruled((text) =>
  isBucketName(text) ? null : "must be a bucket: 3 to 63 lower-case letters, digits, - and .",
);

const oneContent = { error: "must have text, base64 or both" };

/** The section `storage` of a manifest. */
export const storageSection = closed({
  connection: matching(/^[a-z][a-z0-9_-]{0,63}$/, "must be the name of a [[connections.s3]] entry"),
  operation: z.enum(["put", "get"]),
  bucket: z.union([bucketName, parameter], { error: "must be a bucket or {$param: name}" }),
  key: z.union([z.string().min(1).max(1024), parameter], { error: "must be text or {$param: name}" }),
  content: closed({ text: parameter.optional(), base64: parameter.optional() })
    .refine((value) => Object.keys(value).length > 0, oneContent)
    .optional()
    .describe("For put; with both, a call gives exactly one."),
  content_type: z
    .union([z.string().min(1).max(128), parameter], { error: "must be text or {$param: name}" })
    .optional()
    .describe("For put."),
  mode: z
    .union([z.enum(["create", "overwrite"]), parameter], {
      error: "must be create, overwrite or {$param: name}",
    })
    .optional()
    .describe("For put; create when absent: the object must not be there."),
  if_match: parameter.optional().describe("For overwrite: the etag that the object must have."),
  buckets: z
    .array(bucketName)
    .min(1)
    .max(64)
    .optional()
    .describe("Buckets that may be named; those of the connection when absent, and never more."),
  keys: z
    .array(z.string().min(1))
    .min(1)
    .max(256)
    .optional()
    .describe("Globs of keys that may be named; those of the connection when absent, and never more."),
  max_object_kb: whole(1, 65_536).default(512),
}).describe("One object of a store of the configuration.");
