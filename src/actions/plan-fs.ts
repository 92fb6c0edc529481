import { fromBase64, utf8 } from "../core/bytes.ts";
import { compileGlob, type Glob, GlobError } from "../core/glob.ts";
import type { JsonObject } from "../core/json.ts";
import type { FsOperation, FsPlan } from "../core/plan.ts";
import type { FsSection } from "./manifest-schema.ts";
import { type PlanContext, type Planned, type PlanRefusal, refusePlan } from "./plan-result.ts";

/** The compiled path lists of one action. */
export interface PathRules {
  readonly allow: readonly Glob[];
  /** Regardless of case: on a volume that folds case `.ENV` is `.env`. */
  readonly deny: readonly Glob[];
}

export function compilePathRules(fs: FsSection): PathRules {
  const compile = (pattern: string, ignoreCase: boolean) => {
    const glob = compileGlob(pattern, { ignoreCase });
    if (glob instanceof GlobError) throw glob; // the cross-checks have compiled every pattern before
    return glob;
  };
  return {
    allow: fs.allow.map((pattern) => compile(pattern, false)),
    deny: fs.deny.map((pattern) => compile(pattern, true)),
  };
}

/** Makes the one file operation that checked parameters stand for. */
export function planFs(
  fs: FsSection,
  rules: PathRules,
  params: JsonObject,
  context: PlanContext,
): Planned<FsPlan> | PlanRefusal {
  if (context.fsRoot === null)
    return refusePlan("fs_root_missing", "the session has no root folder; open it with fs_root");
  const asked = params[fs.path.$param];
  if (typeof asked !== "string") return refusePlan("path_invalid", "the path must be text");
  const { fsBelow = "" } = context;
  const path = fsBelow === "" ? asked : `${fsBelow}/${asked}`;
  // As it was asked for, too: an absolute path must not become a relative one by what stands before it.
  const fault = pathFault(asked) ?? pathFault(path);
  if (fault !== null) return refusePlan("path_invalid", fault);
  if (rules.deny.some((glob) => glob.matches(path)))
    return refusePlan("path_denied", "the path is denied by the action's manifest");
  const operation = operationOf(fs, params);
  const content = contentOf(fs, params);
  if (operation === null || content === "invalid")
    return refusePlan("invalid_content", "give content as text, or as padded base64, but not both");
  if (content !== null && content.byteLength > fs.max_file_kb * 1024)
    return refusePlan("too_large", `the content is larger than ${fs.max_file_kb} kb`);
  const expected = expectedHash(fs, params);
  if (expected === "invalid" || (expected !== null && operation === "create"))
    return refusePlan(
      "invalid_content",
      "the expected hash is sha256: and 64 hex digits, for a file that exists",
    );
  const listed = rules.allow.some((glob) => glob.matches(path));
  const exact = escapeGlob(path);
  if (!listed && compileGlob(exact) instanceof GlobError)
    return refusePlan("path_invalid", "the path is too long to be allowed by itself");
  return {
    ok: true,
    plan: {
      kind: "fs",
      operation,
      root: context.fsRoot,
      path,
      content,
      expectedBeforeHash: expected,
      allow: listed ? fs.allow : [...fs.allow, exact],
      deny: fs.deny,
      maxFileBytes: fs.max_file_kb * 1024,
    },
    unresolved: { hosts: [], paths: listed ? [] : [path] },
  };
}

/** A pattern that matches this one path: an agent that asks for `config/**` must not be given the pattern. */
export function escapeGlob(path: string): string {
  return path.replace(/[*?[\]{}!,\\]/g, "\\$&");
}

const LONGEST_PATH = 1024;
const LONGEST_SEGMENT = 255;

/** What keeps a text from being a path below a root folder, for people; null when nothing does. */
export function pathFault(path: string): string | null {
  if (path === "") return "the path is empty";
  if (!path.isWellFormed()) return "the path has a lone surrogate";
  if (path.length > LONGEST_PATH) return `the path is longer than ${LONGEST_PATH} characters`;
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(path)) return "the path has a control or invisible character";
  if (path.includes("\\")) return "the path has a backslash; separate folders by /";
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) return "the path must be relative to the root folder";
  for (const segment of path.split("/")) {
    if (segment === "" || segment === "." || segment === "..")
      return "the path has an empty, . or .. segment";
    if (Buffer.byteLength(segment) > LONGEST_SEGMENT)
      return `a segment is longer than ${LONGEST_SEGMENT} bytes`;
  }
  return null;
}

function operationOf(fs: FsSection, params: JsonObject): FsOperation | null {
  if (fs.operation !== "write") return fs.operation;
  const mode = typeof fs.mode === "object" ? params[fs.mode.$param] : fs.mode;
  return mode === "create" || mode === "overwrite" ? mode : null;
}

function contentOf(fs: FsSection, params: JsonObject): Uint8Array | null | "invalid" {
  if (fs.content === undefined) return null;
  const text = fs.content.text === undefined ? undefined : params[fs.content.text.$param];
  const base64 = fs.content.base64 === undefined ? undefined : params[fs.content.base64.$param];
  if (typeof text === "string" && base64 === undefined) return utf8(text);
  if (typeof base64 === "string" && text === undefined) return fromBase64(base64) ?? "invalid";
  return "invalid";
}

function expectedHash(fs: FsSection, params: JsonObject): string | null | "invalid" {
  const given = fs.expected_before_hash === undefined ? undefined : params[fs.expected_before_hash.$param];
  if (given === undefined || given === null) return null;
  const match = typeof given === "string" ? /^sha256:([0-9a-f]{64})$/.exec(given) : null;
  return match?.[1] ?? "invalid";
}
