import { z } from "zod";
import { isExchangeName, isMessageHeader } from "../../core/publish-rules.ts";
import { closed, exactlyOne, json, matching, parameter, ruled } from "../schema-parts.ts";

const exchange = ruled((text) =>
  isExchangeName(text) ? null : "must be an exchange: up to 127 letters, digits and . _ : -",
);

/** A routing key, or the beginning of some before a `*`. */
export const routingPattern = matching(
  /^[\x21-\x29\x2b-\x7e]{1,255}$|^[\x21-\x29\x2b-\x7e]{1,254}\*$/,
  "must be a routing key such as orders.new, or orders.* for any that begins so",
);

const oneBody = exactlyOne(["json", "text", "bytes"]);

/** The section `queue` of a manifest. */
export const queueSection = closed({
  connection: matching(/^[a-z][a-z0-9_-]{0,63}$/, "must be the name of a [[connections.amqp]] entry"),
  exchange: z
    .union([exchange, parameter], { error: "must be an exchange or {$param: name}" })
    .default("")
    .describe("Empty for the default exchange, where the routing key is the name of a queue."),
  routing_key: z.union([z.string().min(1).max(255), parameter], { error: "must be text or {$param: name}" }),
  payload: closed({
    json: json
      .optional()
      .describe("Any JSON; {$param: name} stands for a parameter, never spliced into text."),
    text: z.union([z.string(), parameter], { error: "must be text or {$param: name}" }).optional(),
    bytes: parameter.optional().describe("A parameter with contentEncoding base64."),
  }).refine(oneBody.check, oneBody.message),
  content_type: z.string().min(1).max(128).optional().describe("By the kind of payload when absent."),
  headers: z
    .record(
      ruled((name) =>
        isMessageHeader(name) ? null : "must be a header of your own, x- and lower-case letters, digits, -",
      ),
      z.union([z.string(), parameter], { error: "must be text or {$param: name}" }),
    )
    .default({}),
  exchanges: z
    .array(exchange)
    .min(1)
    .max(64)
    .optional()
    .describe("Exchanges that may be named; those of the connection when absent, and never more."),
  routing_keys: z
    .array(routingPattern)
    .min(1)
    .max(256)
    .optional()
    .describe("Routing keys that may be named; those of the connection when absent, and never more."),
}).describe("One message to an exchange of a message broker of the configuration.");
