import { z } from "zod";
import { isDomainPattern, parseMailAddress } from "../../core/mail-address.ts";
import { closed, matching, parameter, ruled, whole } from "../schema-parts.ts";

const address = ruled((text) => (parseMailAddress(text) === null ? "must be one bare address" : null));

const recipients = z.union([z.array(address).min(1).max(50), parameter], {
  error: "must be a list of bare addresses, or {$param: name} of one",
});

const content = z.union([z.string().max(262_144), parameter], { error: "must be text or {$param: name}" });

export const domainPattern = ruled((text) =>
  isDomainPattern(text)
    ? null
    : "must be a lower-case domain such as example.com, or *.example.com for any below it",
);

/** The section `smtp` of a manifest. */
export const smtpSection = closed({
  connection: matching(/^[a-z][a-z0-9_-]{0,63}$/, "must be the name of a [[connections.smtp]] entry"),
  to: recipients,
  cc: recipients.optional(),
  bcc: recipients.optional(),
  subject: z.union([z.string().min(1).max(256), parameter], { error: "must be text or {$param: name}" }),
  text: content.optional(),
  html: content.optional(),
  headers: z
    .record(
      matching(/^x-[a-z0-9-]{1,60}$/, "must be a header of your own, x- and lower-case letters, digits, -"),
      z.union([z.string(), parameter], { error: "must be text or {$param: name}" }),
    )
    .default({}),
  domains: z
    .array(domainPattern)
    .min(1)
    .max(256)
    .optional()
    .describe("Domains that recipients may be of; those of the connection when absent, and never more."),
  max_recipients: whole(1, 50).default(10).describe("to, cc and bcc together."),
}).describe("One message through a mail server of the configuration.");
