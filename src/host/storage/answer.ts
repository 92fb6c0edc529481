import type { StoragePlan } from "../../core/plan.ts";
import { HostFailure } from "../failure.ts";
import type { Incoming } from "../http/exchange.ts";

/** Longest header value that evidence keeps. */
const LONGEST = 256;

/** One header of an answer; null without it, or when it is not short visible ASCII. The store controls it. */
export function headerOf({ headers }: Incoming, name: string): string | null {
  const value = headers.find(([other]) => other === name)?.[1];
  return value !== undefined && value.length <= LONGEST && /^[\x20-\x7e]+$/.test(value) ? value : null;
}

/** Error codes of S3 that say that the key pair, or what it signed, was not taken. */
const LOGIN_FAULTS = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "RequestTimeTooSkewed",
  "AuthorizationHeaderMalformed",
  "ExpiredToken",
  "InvalidToken",
  // What versitygw says, with 404, of a key pair that it does not know.
  "XAdminUserNotFound",
]);

/** What a store's answer means when it is no success; redirects are refusals, as they are never followed. */
export function refusalOfAnswer(answer: Incoming, plan: StoragePlan): HostFailure | null {
  const { status } = answer;
  if (status === 200) return null;
  // Precondition failed; a conflict is the same that came of two writes at a time.
  if ((status === 412 || status === 409) && plan.operation === "put")
    return plan.ifNoneMatch && status === 412
      ? new HostFailure("object_exists", "the object is there already")
      : new HostFailure("conflict", "the object is not the expected one");
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(answer.body.subarray(0, 4096).toString("latin1"))?.[1];
  if (status === 401 || (code !== undefined && LOGIN_FAULTS.has(code)))
    return new HostFailure("authentication_failed", "the store does not take the key pair");
  // A bucket, an account or a whole store that is not there answers 404 too.
  if (status === 404 && plan.operation === "get" && code === "NoSuchKey")
    return new HostFailure("object_not_found", "there is no such object");
  return new HostFailure("storage_refused", "the store refused the request");
}
