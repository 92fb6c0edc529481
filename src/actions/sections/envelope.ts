import { z } from "zod";
import { pathPrefixFault } from "../../core/path-prefix.ts";
import { HTTP_METHODS } from "../../core/plan.ts";
import { hostPatternFault } from "../host-pattern.ts";
import { closed, ruled, whole } from "../schema-parts.ts";

const distinct = {
  check: (values: readonly (string | number)[]) => new Set(values).size === values.length,
  message: { error: "names something twice" },
};

const target = closed({
  hosts: z
    .array(ruled(hostPatternFault))
    .min(1)
    .max(16)
    .refine(distinct.check, distinct.message)
    .describe("Exact hosts; with *.example.com, any name below, each call is held for a human."),
  methods: z
    .array(z.enum(HTTP_METHODS))
    .min(1)
    .max(HTTP_METHODS.length)
    .refine(distinct.check, distinct.message),
  paths: z
    .array(ruled(pathPrefixFault))
    .min(1)
    .max(16)
    .refine(distinct.check, distinct.message)
    .describe("Prefixes: /api has /api and /api/… below it, never /apix; / has everything."),
  ports: z.array(whole(1, 65_535)).min(1).max(4).refine(distinct.check, distinct.message).default([443]),
});

/** The section `envelope` of a manifest. */
export const envelopeSection = closed({
  targets: z.array(target).min(1).max(8).describe("Each request has to lie in one of them with all of it."),
  calls: whole(1, 100).default(1).describe("Most host calls, refused ones included; within limits.io_calls."),
}).describe("Where the requests have to lie that a component of the operator computes by itself.");
