import { fold, GlobError, longestLiteral, readSteps, run } from "./glob-steps.ts";

export { GlobError } from "./glob-steps.ts";

/** A compiled path pattern. Matching takes time linear in the path, whatever the pattern. */
export interface Glob {
  readonly pattern: string;
  /** Whether the whole path matches. The path is relative and `/`-separated, without empty, `.` or `..` segments. */
  matches(path: string): boolean;
}

export interface GlobOptions {
  /** Compare letters regardless of case, as deny patterns do: a volume that folds case would else open a way round. */
  readonly ignoreCase?: boolean;
}

const LONGEST_PATTERN = 1024;
const MOST_ALTERNATIVES = 128;
const LONGEST_EXPANSION = 8192;

/**
 * Compiles a glob: `*` and `?` stay within one segment, `[..]` and `[!..]` are classes, `{a,b}` alternatives, `\`
 * takes the next character as it is. `**` is a whole segment: leading or inner it stands for zero or more folders
 * (`**` + `/.env` matches `.env`), trailing for anything below (`dir/**` never matches `dir`).
 * Returns a {@link GlobError} as a value for any other pattern.
 */
export function compileGlob(pattern: string, options: GlobOptions = {}): Glob | GlobError {
  try {
    const ignoreCase = options.ignoreCase ?? false;
    const programs = expandBraces(checked(pattern)).map((plain) => {
      const steps = readSteps(segmented(plain), ignoreCase);
      return { steps, literal: longestLiteral(steps) };
    });
    return {
      pattern,
      matches(path) {
        const text = ignoreCase ? fold(path) : path;
        // Most patterns fail here already: what they spell out occurs nowhere in the path.
        return programs.some(({ steps, literal }) => text.includes(literal) && run(steps, text));
      },
    };
  } catch (thrown) {
    if (thrown instanceof GlobError) return thrown;
    throw thrown;
  }
}

function checked(pattern: string): string {
  if (pattern === "") throw new GlobError("pattern is empty");
  if (pattern.length > LONGEST_PATTERN)
    throw new GlobError(`pattern longer than ${LONGEST_PATTERN} characters`);
  if (!pattern.isWellFormed()) throw new GlobError("pattern contains a lone surrogate");
  if (/[\u0000-\u001f\u007f]/.test(pattern)) throw new GlobError("pattern contains a control character");
  return pattern;
}

/** A segment that no clean path has would make a deny pattern that denies nothing. */
function segmented(plain: string): string {
  if (plain.startsWith("/"))
    throw new GlobError("pattern starts with a slash; paths are relative to the root");
  for (const segment of plain.split("/"))
    if (segment === "" || segment === "." || segment === "..")
      throw new GlobError("pattern has an empty, . or .. segment, or an empty alternative");
  return plain;
}

/** Multiplies out `{a,b}`, nested ones too; the caps keep a short pattern from exploding. */
function expandBraces(pattern: string): string[] {
  const done: string[] = [];
  const open = [pattern];
  let length = 0;
  for (;;) {
    const next = open.pop();
    if (next === undefined) return done;
    length += next.length;
    if (done.length + open.length >= MOST_ALTERNATIVES || length > LONGEST_EXPANSION)
      throw new GlobError("pattern multiplies out too far; use fewer alternatives");
    const group = innermostGroup(next);
    if (group === null) done.push(next);
    else for (const part of group.parts) open.push(next.slice(0, group.start) + part + next.slice(group.end));
  }
}

interface BraceGroup {
  /** Offset of `{`, and the offset after its `}`. */
  readonly start: number;
  readonly end: number;
  readonly parts: readonly string[];
}

function innermostGroup(pattern: string): BraceGroup | null {
  let start = -1;
  let cuts: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (character === "[") at = classEnd(pattern, at);
    else if (character === "{") {
      start = at;
      cuts = [];
    } else if (character === "," && start >= 0) cuts.push(at);
    else if (character === "}") {
      if (start < 0) throw new GlobError("pattern has a } without a {");
      const edges = [start, ...cuts, at];
      const parts = edges.slice(1).map((edge, i) => pattern.slice((edges[i] ?? 0) + 1, edge));
      return { start, end: at + 1, parts };
    }
  }
  if (start >= 0) throw new GlobError("pattern has a { without a }");
  return null;
}

/** Offset of the `]` that closes the class at `open`; a `]` right after `[` or `[!` is a member. */
function classEnd(pattern: string, open: number): number {
  let at = open + 1;
  if (pattern[at] === "!") at++;
  if (pattern[at] === "]") at++;
  for (; at < pattern.length; at++) {
    if (pattern[at] === "\\") at++;
    else if (pattern[at] === "]") return at;
  }
  throw new GlobError("pattern has a [ without a ]");
}
