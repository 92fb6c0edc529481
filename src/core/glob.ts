import { LatchGateError } from "./errors.ts";

/** A compiled path pattern. Matching takes time linear in the path, whatever the pattern. */
export interface Glob {
  readonly pattern: string;
  /** Whether the whole path matches. The path is relative and `/`-separated, without empty, `.` or `..` segments. */
  matches(path: string): boolean;
}

/** A pattern that cannot be compiled; `message` says why, `code` is `glob_invalid`. */
export class GlobError extends LatchGateError {
  constructor(message: string) {
    super("glob_invalid", message, {
      hint: "write * ? [..] {a,b} within a segment and ** as a whole segment",
    });
  }
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
      const steps = new Reader(segmented(plain), ignoreCase).program();
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

/** One step of a pattern. `folders` is `(segment "/")*`, `below` is one or more of any character. */
type Step =
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "class"; readonly holds: (character: string) => boolean }
  | { readonly kind: "any" | "star" | "folders" | "below" };

/** Reads a pattern without braces into steps. */
class Reader {
  private readonly text: readonly string[];
  private readonly ignoreCase: boolean;
  private at = 0;

  constructor(pattern: string, ignoreCase: boolean) {
    this.text = [...pattern];
    this.ignoreCase = ignoreCase;
  }

  program(): readonly Step[] {
    const steps: Step[] = [];
    while (this.at < this.text.length) {
      const character = this.text[this.at++] ?? "";
      if (character === "*") steps.push(this.star());
      else if (character === "?") steps.push({ kind: "any" });
      else if (character === "[") steps.push(this.characterClass());
      else if (character === "\\") steps.push(...this.escaped());
      else steps.push(...this.literal(character));
    }
    return steps;
  }

  private star(): Step {
    if (this.text[this.at] !== "*") return { kind: "star" };
    const before = this.text[this.at - 2];
    const after = this.text[this.at + 1];
    if ((before !== undefined && before !== "/") || (after !== undefined && after !== "/"))
      throw new GlobError("** must be a whole segment");
    this.at += 1;
    if (after === undefined) return { kind: "below" };
    this.at += 1;
    return { kind: "folders" };
  }

  private escaped(): Step[] {
    const character = this.text[this.at++];
    if (character === undefined || character === "/") throw new GlobError("pattern has a \\ before nothing");
    return this.literal(character);
  }

  private literal(character: string): Step[] {
    const characters = this.ignoreCase ? fold(character) : character;
    return [...characters].map((one) => ({ kind: "character", character: one }));
  }

  private characterClass(): Step {
    const negated = this.text[this.at] === "!";
    if (negated) this.at++;
    const ranges: (readonly [number, number])[] = [];
    for (let first = true; ; first = false) {
      if (this.text[this.at] === "]" && !first) break;
      const low = this.member();
      let high = low;
      if (this.text[this.at] === "-" && this.text[this.at + 1] !== "]") {
        this.at++;
        high = this.member();
      }
      if (low > high) throw new GlobError("pattern has a class range that runs backwards");
      ranges.push([low, high]);
    }
    this.at++;
    const listed = (character: string) => {
      const point = character.codePointAt(0) ?? 0;
      return ranges.some(([low, high]) => point >= low && point <= high);
    };
    const ignoreCase = this.ignoreCase;
    return {
      kind: "class",
      holds: (character) => {
        if (character === "/") return false;
        const inside = listed(character) || (ignoreCase && listed(character.toUpperCase()));
        return inside !== negated;
      },
    };
  }

  private member(): number {
    if (this.text[this.at] === "\\") this.at++;
    const character = this.text[this.at++];
    if (character === undefined) throw new GlobError("pattern has a [ without a ]");
    if (character === "/") throw new GlobError("a class cannot hold a slash");
    return character.codePointAt(0) ?? 0;
  }
}

/**
 * Runs all states side by side, so that no pattern makes it go back. State 2i waits before step i; state 2i + 1 is
 * inside the repetition of step i.
 */
function run(program: readonly Step[], text: string): boolean {
  const size = program.length * 2 + 1;
  let now = new Uint8Array(size);
  let next = new Uint8Array(size);
  enter(program, now, 0);
  for (const character of text) {
    next.fill(0);
    for (let i = 0; i < program.length; i++) {
      const step = program[i];
      if (step === undefined) break;
      const before = now[2 * i] === 1;
      const inside = now[2 * i + 1] === 1;
      if (before || inside) advance(program, step, i, inside, character, next);
    }
    [now, next] = [next, now];
  }
  return now[size - 1] === 1;
}

function advance(
  program: readonly Step[],
  step: Step,
  i: number,
  inside: boolean,
  character: string,
  next: Uint8Array,
): void {
  switch (step.kind) {
    case "character":
      if (character === step.character) enter(program, next, i + 1);
      return;
    case "class":
      if (step.holds(character)) enter(program, next, i + 1);
      return;
    case "any":
      if (character !== "/") enter(program, next, i + 1);
      return;
    case "star":
      if (character !== "/") enter(program, next, i);
      return;
    case "folders":
      // A folder needs a name: a slash counts only after another character.
      if (character !== "/") next[2 * i + 1] = 1;
      else if (inside) enter(program, next, i);
      return;
    case "below":
      next[2 * i + 1] = 1;
      enter(program, next, i + 1);
      return;
  }
}

/** Marks the state before step i, and those after it that can be reached without a character. */
function enter(program: readonly Step[], states: Uint8Array, i: number): void {
  for (let at = i; ; at++) {
    states[2 * at] = 1;
    const kind = program[at]?.kind;
    if (kind !== "star" && kind !== "folders") return;
  }
}

/** The longest run of characters that every match contains as it stands. */
function longestLiteral(program: readonly Step[]): string {
  let longest = "";
  let current = "";
  for (const step of program) {
    current = step.kind === "character" ? current + step.character : "";
    if (current.length > longest.length) longest = current;
  }
  return longest;
}

/** Upper then lower, one character at a time: `K` (Kelvin) and `ſ` fold with `k` and `s`, a final sigma with `σ`. */
function fold(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.toLowerCase();
  let folded = "";
  for (const character of text) folded += character.toUpperCase().toLowerCase();
  return folded;
}
