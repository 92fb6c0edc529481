import { utf8 } from "../../core/bytes.ts";
import { type Json, JsonError, parseJson } from "../../core/json.ts";
import { resolvePointer } from "../../core/json-pointer.ts";
import { answerMark } from "../../core/plan/read-back.ts";
import type { HttpPlan, ReadBackPlan } from "../../core/plan.ts";
import { hasDotSegment, parseTargetUrl, UrlError } from "../../core/url.ts";
import { percent } from "../credentials/spelling.ts";
import { HostFailure } from "../failure.ts";

/** Longer names of things are nothing that a service hands out. */
const LONGEST_VALUE = 256;
const DEEPEST_ANSWER = 64;

/** The GET of a read-back, its URL still with placeholders. It may go where its plan may, and nowhere else. */
export function readBackRequest(plan: HttpPlan, { url, headers, secrets }: ReadBackPlan): HttpPlan {
  const { kind, hosts } = plan;
  const responseHeaders = ["content-type"];
  return { kind, method: "GET", url, headers, body: null, hosts, responseHeaders, secrets, readBack: null };
}

/**
 * The URL of a read-back, with values of the answer to the effect in it. The other side controls them: each stays one
 * path segment or query value, percent-encoded. Throws {@link HostFailure} `malformed_response` for an answer that
 * does not have them, or has others than short texts and whole numbers.
 */
export function readBackUrl(plan: ReadBackPlan, answer: Uint8Array): string {
  if (plan.values.length === 0) return plan.url;
  const document = parsed(answer);
  let text = plan.url;
  for (const { name, pointer } of plan.values) {
    const [before, after, ...more] = text.split(answerMark(name));
    if (before === undefined || after === undefined || more.length > 0)
      throw unfit("a value of the answer has no place of its own");
    text = before + percent(utf8(textOf(resolvePointer(document, pointer)))) + after;
  }
  if (!staysInPlace(text, plan.url)) throw unfit("a value of the answer changes the read-back's url");
  return text;
}

function textOf(value: Json | undefined): string {
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string" || value === "" || value.length > LONGEST_VALUE || !value.isWellFormed())
    throw unfit("the answer has no value for the read-back's url");
  return value;
}

/** Encoding makes a change impossible but for dot segments; the rest must not hang on that being complete. */
function staysInPlace(text: string, template: string): boolean {
  try {
    const url = parseTargetUrl(text);
    const planned = parseTargetUrl(template);
    const segments = (path: string) => path.split("/").length;
    return (
      url.href === text &&
      url.origin === planned.origin &&
      segments(url.path) === segments(planned.path) &&
      !hasDotSegment(url.path)
    );
  } catch (thrown) {
    if (thrown instanceof UrlError) return false;
    throw thrown;
  }
}

function parsed(answer: Uint8Array): Json {
  try {
    return parseJson(answer, { bytes: answer.byteLength, depth: DEEPEST_ANSWER });
  } catch (thrown) {
    if (thrown instanceof JsonError) throw unfit("the answer to the effect is not json");
    throw thrown;
  }
}

function unfit(message: string): HostFailure {
  return new HostFailure("malformed_response", message);
}
