import { canonicalJson } from "../../core/canonical-json.ts";
import { isJsonObject, type Json, parseJson } from "../../core/json.ts";
import { pointerSteps } from "../../core/json-pointer.ts";
import type { Header } from "../../core/plan.ts";
import { pathPlaceholder, type SecretBinding } from "../../core/secret-binding.ts";
import type { OpenSecrets } from "../../core/secrets.ts";
import { hasQueryParameter, type TargetUrl } from "../../core/url.ts";
import { filled, percent } from "../credentials/spelling.ts";
import { HostFailure } from "../failure.ts";

/** The parts of a request that a credential can stand in. */
export interface Request {
  /** Path and query. */
  readonly target: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array | null;
}

/** A whole header with a credential in it: what the list of a plan may hold at most. */
const LONGEST_HEADER = 8192;
/** As the planner's reader takes a body. */
const DEEPEST_BODY = 128;

/**
 * Puts credentials into a planned request, just before it is sent. Each goes to exactly the origin that it is bound
 * to, over https, into a place that is free: it is set, never added to what is there.
 *
 * Throws {@link HostFailure} `host_not_allowed`, `header_not_allowed`, or `secret_invalid` for a value that its place
 * cannot carry. Messages never repeat a value.
 */
export function inject(
  planned: Request,
  url: TargetUrl,
  bindings: readonly SecretBinding[],
  secrets: OpenSecrets,
): Request {
  let request = planned;
  for (const binding of bindings) {
    if (url.scheme !== "https" || binding.origin !== url.origin)
      throw new HostFailure("host_not_allowed", "a credential is not for this origin");
    request = put(request, url, binding, checked(secrets.bytes(binding.secret)));
  }
  return request;
}

function put(request: Request, url: TargetUrl, binding: SecretBinding, value: Buffer): Request {
  const { name } = binding;
  switch (binding.in) {
    case "header":
      return withHeader(request, name, filled(binding, value));
    case "basic": {
      const pair = filled(binding, value);
      // RFC 7617 §2: the user name has no colon, so the first one ends it.
      if (!pair.includes(":")) throw invalid("is no user:password");
      return withHeader(request, name, Buffer.from(`Basic ${pair.toString("base64")}`));
    }
    case "query": {
      if (hasQueryParameter(url.query, name)) throw taken();
      const joint = request.target.includes("?") ? "&" : "?";
      return { ...request, target: `${request.target}${joint}${name}=${percent(filled(binding, value))}` };
    }
    case "path": {
      const [before, after, ...more] = request.target.split(pathPlaceholder(name));
      if (before === undefined || after === undefined || more.length > 0 || before.includes("?"))
        throw taken();
      return { ...request, target: before + percent(value) + after };
    }
    case "body":
      return { ...request, body: withMember(request.body, name, filled(binding, value)) };
  }
}

/** No place can carry a line break or NUL, whatever encodes it. */
function checked(value: Uint8Array): Buffer {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.includes(0) || bytes.includes(0x0a) || bytes.includes(0x0d))
    throw invalid("has a line break or nul");
  return bytes;
}

/** Visible ASCII with inner spaces (RFC 9110 §5.5). */
function withHeader(request: Request, name: string, value: Buffer): Request {
  if (request.headers.some(([other]) => other === name)) throw taken();
  const text = value.toString("latin1");
  if (value.length > LONGEST_HEADER || !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text))
    throw invalid("cannot stand in a header");
  return { ...request, headers: [...request.headers, [name, text]] };
}

function withMember(body: Uint8Array | null, name: string, value: Buffer): Uint8Array {
  if (body === null) throw taken();
  const steps = pointerSteps(name);
  if (!name.startsWith("/") || steps === null) {
    const form = Buffer.from(body).toString("latin1");
    if (new URLSearchParams(form).has(name)) throw taken();
    return Buffer.from(`${form}${form === "" ? "" : "&"}${percent(Buffer.from(name))}=${percent(value)}`);
  }
  const text = value.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(value)) throw invalid("is not utf-8");
  const document = parseJson(body, { bytes: body.length, depth: DEEPEST_BODY });
  return Buffer.from(canonicalJson(withValue(document, steps, text)));
}

function withValue(document: Json | undefined, steps: readonly string[], value: string): Json {
  const [step, ...rest] = steps;
  if (step === undefined) {
    if (document !== undefined) throw taken();
    return value;
  }
  if (document === undefined || !isJsonObject(document)) throw taken();
  const inner = Object.hasOwn(document, step) ? document[step] : undefined;
  return { ...document, [step]: withValue(inner, rest, value) };
}

function invalid(message: string): HostFailure {
  return new HostFailure("secret_invalid", `a secret ${message}`);
}

function taken(): HostFailure {
  return new HostFailure("header_not_allowed", "the place of a credential is taken, or not there");
}
