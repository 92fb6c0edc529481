import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";
import { messageOf } from "../core/errors.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";

/** Longest manifest text, in bytes. */
export const LONGEST_MANIFEST = 262_144;
const DEEPEST = 32;
const MAP = "tag:yaml.org,2002:map";
const SEQUENCE = "tag:yaml.org,2002:seq";

export interface YamlProblem {
  readonly line: number | null;
  readonly message: string;
}

export type YamlDocument =
  | {
      readonly ok: true;
      readonly value: JsonObject;
      /** Line of a member, or of the nearest one above it that is written down; counted from 1. */
      line(path: readonly (string | number)[]): number | null;
    }
  | { readonly ok: false; readonly problems: readonly YamlProblem[] };

/**
 * Reads one YAML 1.2 document (core schema) whose value is a JSON object. What readers disagree on or what can
 * grow is refused: duplicate keys, aliases and anchors, tags, directives, several documents, numbers that do not
 * survive as JSON, `__proto__`.
 */
export function readYaml(text: string): YamlDocument {
  if (Buffer.byteLength(text) > LONGEST_MANIFEST)
    return failed({ line: null, message: `longer than ${LONGEST_MANIFEST} bytes` });
  const lines = new LineCounter();
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, {
      version: "1.2",
      schema: "core",
      strict: true,
      uniqueKeys: true,
      stringKeys: true,
      merge: false,
      resolveKnownTags: false,
      prettyErrors: false,
      logLevel: "error", // when silent, a second document would be dropped without a word
      lineCounter: lines,
    });
  } catch (cause) {
    // The composer recurses: thousands of open brackets end in a RangeError.
    return failed({ line: null, message: `cannot be parsed: ${messageOf(cause)}` });
  }
  const lineAt = (offset: number | undefined) => (offset === undefined ? null : lines.linePos(offset).line);
  const problems: YamlProblem[] = [...document.errors, ...document.warnings].map((error) => ({
    line: lineAt(error.pos[0]),
    message: yamlMessage(error.code, error.message),
  }));
  if (/^%/m.test(text)) problems.push({ line: null, message: "yaml directives are not allowed" });
  if (problems.length > 0) return { ok: false, problems };
  visit(document, {
    Node(_key, node, path) {
      const refuse = (message: string) => problems.push({ line: lineAt(node.range?.[0]), message });
      if (path.filter((above) => isMap(above) || isSeq(above)).length > DEEPEST) {
        refuse(`nested deeper than ${DEEPEST}`);
        return visit.BREAK;
      }
      if (isAlias(node)) refuse("aliases are not allowed; repeat the value");
      else if (node.anchor !== undefined) refuse("anchors are not allowed");
      if (node.tag !== undefined && node.tag !== (isMap(node) ? MAP : SEQUENCE))
        refuse("tags are not allowed");
      if (isScalar(node)) {
        const fault = scalarFault(node.value);
        if (fault !== null) refuse(fault);
      }
      return undefined;
    },
  });
  if (problems.length > 0) return { ok: false, problems };
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (!isJsonObject(value)) return failed({ line: 1, message: "must be a mapping of keys to values" });
  const root: Node | null = document.contents;
  return { ok: true, value, line: (path) => lineAt(offsetOf(root, path)) };
}

function failed(problem: YamlProblem): YamlDocument {
  return { ok: false, problems: [problem] };
}

function yamlMessage(code: string, message: string): string {
  if (code === "DUPLICATE_KEY") return "duplicate key";
  if (code === "MULTIPLE_DOCS") return "only one yaml document per file";
  return `${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

function scalarFault(value: unknown): string | null {
  if (value === "__proto__") return "the name __proto__ is not allowed";
  if (typeof value === "string") return value.isWellFormed() ? null : "lone surrogate in a string";
  if (typeof value !== "number") return null;
  if (!Number.isFinite(value)) return "number is not finite";
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return "integer beyond 2^53 - 1; quote it";
  return null;
}

function offsetOf(root: Node | null, path: readonly (string | number)[]): number | undefined {
  let node: unknown = root;
  let offset = root?.range?.[0];
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === step);
      if (pair === undefined) return offset;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const item: unknown = node.items[step];
      if (isScalar(item) || isMap(item) || isSeq(item)) offset = item.range?.[0] ?? offset;
      node = item;
    } else return offset;
  }
  return offset;
}
