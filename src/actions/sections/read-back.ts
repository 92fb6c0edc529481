import { z } from "zod";
import { requestHeaderFault } from "../header-rules.ts";
import { PARAMETER_NAME } from "../names.ts";
import { closed, exactlyOne, json, matching, parameter, ruled, whole } from "../schema-parts.ts";

const oneExpectation = exactlyOne(["equals", "type"]);

const pointer = matching(/^(?:\/(?:[^~/]|~[01])*)*$/, "must be a json pointer such as /title (RFC 6901)");

/** What must be so in a JSON answer. */
export const assertion = closed({
  pointer,
  equals: json.optional(),
  type: z.enum(["string", "number", "integer", "boolean", "object", "array", "null"]).optional(),
}).refine(oneExpectation.check, oneExpectation.message);

export const statuses = z.array(whole(200, 599)).min(1).max(32);

/** `verify.read_back` of an http action. */
export const readBackSection = closed({
  url: z
    .string()
    .min(1)
    .max(2048)
    .describe(
      "An RFC 6570 template over parameters and values of the answer, of the same origin as http.url.",
    ),
  values: z
    .record(matching(PARAMETER_NAME, "must be a name as parameters have them"), pointer)
    .default({})
    .describe("Values of the answer to the effect that the url needs, by name: JSON pointers."),
  headers: z
    .record(
      ruled(requestHeaderFault),
      z.union([z.string(), parameter], { error: "must be text or {$param: name}" }),
    )
    .default({}),
  status: statuses.optional().describe("Any 2xx when absent."),
  assert: z.array(assertion).max(32).default([]),
  attempts: whole(1, 50).default(1).describe("Most GET requests; each counts in limits.io_calls."),
  interval_ms: whole(0, 60_000).default(1000).describe("Between two of them."),
});

export type ReadBackSection = z.output<typeof readBackSection>;
