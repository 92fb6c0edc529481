import { type PrimitiveValue, parseTemplate } from "url-template";
import type { Json, JsonObject } from "../core/json.ts";
import { hasDotSegment, parseTargetUrl, type TargetUrl, UrlError } from "../core/url.ts";
import { PARAMETER_NAME } from "./names.ts";

/** A URL template (RFC 6570, levels 1 to 3 and explode), with what of it is fixed. */
export type UrlTemplate =
  | { readonly kind: "whole"; readonly parameter: string }
  | {
      readonly kind: "parts";
      readonly text: string;
      readonly scheme: "http" | "https";
      readonly host: HostPart;
      readonly port: number;
      readonly expressions: readonly UrlExpression[];
    };

/** A parameter may be the first label of a host alone, before a suffix of at least two labels. */
export type HostPart =
  | { readonly kind: "fixed"; readonly host: string }
  | { readonly kind: "label"; readonly parameter: string; readonly suffix: string };

export interface UrlExpression {
  readonly parameter: string;
  readonly place: "host" | "path" | "query";
  /** The RFC 6570 operator; empty for simple expansion. */
  readonly operator: string;
  /** Whether an absent value takes its separator along, so that the parameter may be optional. */
  readonly mayBeAbsent: boolean;
}

export type ParsedTemplate =
  | { readonly ok: true; readonly template: UrlTemplate }
  | { readonly ok: false; readonly message: string };

export type ExpandedUrl =
  | { readonly ok: true; readonly url: TargetUrl }
  | { readonly ok: false; readonly message: string };

const PATH_OPERATORS = ["", "+", "/", ".", ";"];

class TemplateFault extends Error {}

/** Reads a template; what is wrong with it is a value. */
export function parseUrlTemplate(text: string): ParsedTemplate {
  try {
    return { ok: true, template: read(text) };
  } catch (thrown) {
    if (thrown instanceof TemplateFault || thrown instanceof UrlError)
      return { ok: false, message: thrown.message };
    throw thrown;
  }
}

function read(text: string): UrlTemplate {
  if (!/^[\x21-\x7e]+$/.test(text) || /[\\"<>^`|#]/.test(text))
    throw new TemplateFault("must be printable ascii without white space, quotes, backslash or fragment");
  const whole = /^\{\+([^{}]*)\}$/.exec(text);
  if (whole !== null) return { kind: "whole", parameter: checkedName(whole[1] ?? "") };
  const start = /^(https?):\/\//.exec(text);
  if (start === null) throw new TemplateFault("must start with https:// or http://, or be {+url} alone");
  const scheme = start[1] === "http" ? "http" : "https";
  const tokens = tokenise(text.slice(start[0].length));
  const { host, port, rest } = readAuthority(tokens, scheme);
  checkFixedPath(rest.map((token) => (token.kind === "literal" ? token.text : "x")).join(""));
  const expressions: UrlExpression[] = [];
  if (host.kind === "label")
    expressions.push({ parameter: host.parameter, place: "host", operator: "", mayBeAbsent: false });
  let place: "path" | "query" = "path";
  for (const [i, token] of rest.entries()) {
    const before = rest[i - 1];
    // Without its values {?a} leaves no question mark, and what follows would land in the path.
    if (before?.kind === "expression" && before.operator === "?")
      throw new TemplateFault("nothing may follow {?…}; put all names into it, as in {?a,b}");
    if (token.kind === "literal") {
      if (token.text.includes("?")) place = "query";
      continue;
    }
    if (place === "path" && token.operator === "?") place = "query";
    else if (place === "path" && !PATH_OPERATORS.includes(token.operator))
      throw new TemplateFault(`{${token.operator}…} cannot stand in a path`);
    else if (place === "query" && token.operator !== "&" && token.operator !== "")
      throw new TemplateFault(`{${token.operator}…} cannot stand in a query; use {&name} or name={name}`);
    const mayBeAbsent = token.operator !== "" && token.operator !== "+";
    for (const parameter of token.names)
      expressions.push({ parameter, place, operator: token.operator, mayBeAbsent });
  }
  return { kind: "parts", text, scheme, host, port, expressions };
}

type Token =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "expression"; readonly operator: string; readonly names: readonly string[] };

function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  for (const part of text.split(/(\{[^{}]*\})/)) {
    if (part === "") continue;
    if (!part.startsWith("{") || !part.endsWith("}")) {
      if (/[{}]/.test(part)) throw new TemplateFault("has a brace without its partner");
      tokens.push({ kind: "literal", text: part });
      continue;
    }
    const match = /^\{([+#./;?&=,!@|]?)(.*)\}$/.exec(part);
    const operator = match?.[1] ?? "";
    if (!["", "+", "/", ".", ";", "?", "&"].includes(operator))
      throw new TemplateFault(`the operator ${operator} is not supported`);
    const names = (match?.[2] ?? "").split(",").map((variable) => {
      if (variable.includes(":")) throw new TemplateFault("a :length modifier is not supported");
      return checkedName(variable.endsWith("*") ? variable.slice(0, -1) : variable);
    });
    tokens.push({ kind: "expression", operator, names });
  }
  return tokens;
}

function checkedName(name: string): string {
  if (!PARAMETER_NAME.test(name))
    throw new TemplateFault(`{${name.slice(0, 64)}} is not the name of a parameter`);
  return name;
}

/** What stays of the path whatever the values are; each expression counts as some text. */
function checkFixedPath(text: string): void {
  const path = text.split("?", 1)[0] ?? "";
  if (path.includes("//")) throw new TemplateFault("has an empty path segment");
  if (hasDotSegment(path)) throw new TemplateFault("has a . or .. path segment");
}

function readAuthority(
  tokens: readonly Token[],
  scheme: "http" | "https",
): { host: HostPart; port: number; rest: readonly Token[] } {
  const [first, second, ...others] = tokens;
  const label = first?.kind === "expression" ? first : null;
  const literal = label === null ? first : second;
  const name = label?.names[0];
  const rule = "a parameter in the host must be its first label, before a fixed suffix: {name}.example.com";
  if (literal?.kind !== "literal") throw new TemplateFault(label === null ? "has no host" : rule);
  const fixed = literal.text.split(/[/?]/, 1)[0] ?? "";
  const after = literal.text.slice(fixed.length);
  const next = label === null ? second : others[0];
  const ends = next === undefined || (next.kind === "expression" && ["/", "?"].includes(next.operator));
  if (after === "" && !ends) throw new TemplateFault(rule);
  const rest = tokens.slice(label === null ? 1 : 2);
  const tail: readonly Token[] = after === "" ? rest : [{ kind: "literal", text: after }, ...rest];
  if (label === null) {
    const url = parseTargetUrl(`${scheme}://${fixed}/`);
    return { host: { kind: "fixed", host: url.host }, port: url.port, rest: tail };
  }
  if (label.operator !== "" || label.names.length !== 1 || name === undefined || !/^\.[^.]+\../.test(fixed))
    throw new TemplateFault(rule);
  const url = parseTargetUrl(`${scheme}://x${fixed}/`);
  return { host: { kind: "label", parameter: name, suffix: url.host.slice(1) }, port: url.port, rest: tail };
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * Expands a template with checked parameters. An agent controls the values: they never change scheme, host or
 * port, never leave their path segment (`{+path}` may hold several, none of them empty, `.` or `..`, however
 * encoded), never add to the query. Messages never repeat a value.
 */
export function expandUrl(template: UrlTemplate, params: JsonObject): ExpandedUrl {
  if (template.kind === "whole") {
    const value = params[template.parameter];
    return typeof value === "string" ? parsed(value) : refused(`${template.parameter} must be a url`);
  }
  const context: Record<string, PrimitiveValue | PrimitiveValue[]> = Object.create(null);
  for (const expression of template.expressions) {
    const name = expression.parameter;
    const value = scalars(Object.hasOwn(params, name) ? params[name] : undefined);
    if (value === undefined) {
      if (expression.mayBeAbsent) continue;
      return refused(`${name} is needed for the url`);
    }
    const fault = valueFault(expression, value);
    if (fault !== null) return refused(`${name} ${fault}`);
    context[name] = value;
  }
  const text = parseTemplate(template.text).expand(context);
  const path = text.slice(text.indexOf("//") + 2).split("?", 1)[0] ?? "";
  const segments = path.slice(path.indexOf("/") + 1);
  if (segments.includes("//") || segments.startsWith("/"))
    return refused("a parameter makes an empty path segment");
  if (hasDotSegment(segments)) return refused("a parameter makes a . or .. path segment");
  const result = parsed(text);
  if (!result.ok) return result;
  const { scheme, host, port } = result.url;
  const hostIsPlanned =
    template.host.kind === "fixed" ? host === template.host.host : host.endsWith(template.host.suffix);
  // What is above makes this impossible; the answer must not hang on its being complete.
  if (scheme !== template.scheme || port !== template.port || !hostIsPlanned)
    return refused("a parameter changes the host of the url");
  return result;
}

function scalars(value: Json | undefined): PrimitiveValue | PrimitiveValue[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) {
    const items: PrimitiveValue[] = [];
    for (const item of value) {
      if (typeof item === "object") return undefined;
      items.push(item);
    }
    return items.length === 0 ? undefined : items; // RFC 6570 §2.3: an empty list is undefined
  }
  return typeof value === "object" ? undefined : (value as string | number | boolean); // what is left of Json
}

function valueFault(expression: UrlExpression, value: PrimitiveValue | PrimitiveValue[]): string | null {
  const texts = [value].flat().map(String);
  if (!texts.every((text) => text.isWellFormed())) return "has a lone surrogate";
  if (expression.place === "host")
    return LABEL.test(String(value)) ? null : "must be one label of a host name";
  if (expression.place === "path") {
    if (texts.includes("")) return "must not be empty in a path";
    if (expression.operator === "+" && texts.some((text) => /[?#]/.test(text))) return "must not hold ? or #";
  }
  return null;
}

function parsed(text: string): ExpandedUrl {
  try {
    return { ok: true, url: parseTargetUrl(text) };
  } catch (thrown) {
    if (thrown instanceof UrlError) return refused(thrown.message);
    throw thrown;
  }
}

function refused(message: string): ExpandedUrl {
  return { ok: false, message };
}
