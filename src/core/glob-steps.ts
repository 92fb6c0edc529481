import { LatchGateError } from "./errors.ts";

/** A pattern that cannot be compiled; `message` says why, `code` is `glob_invalid`. */
export class GlobError extends LatchGateError {
  constructor(message: string) {
    super("glob_invalid", message, {
      hint: "write * ? [..] {a,b} within a segment and ** as a whole segment",
    });
  }
}

/** One step of a pattern. `folders` is `(segment "/")*`, `below` is one or more of any character. */
export type Step =
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "class"; readonly holds: (character: string) => boolean }
  | { readonly kind: "any" | "star" | "folders" | "below" };

/** The steps of a pattern without braces. Throws {@link GlobError}. */
export function readSteps(pattern: string, ignoreCase: boolean): readonly Step[] {
  return new Reader(pattern, ignoreCase).program();
}

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
 * Whether the whole text matches. Runs all states side by side, so that no pattern makes it go back. State 2i waits before step i; state 2i + 1 is
 * inside the repetition of step i.
 */
export function run(program: readonly Step[], text: string): boolean {
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
export function longestLiteral(program: readonly Step[]): string {
  let longest = "";
  let current = "";
  for (const step of program) {
    current = step.kind === "character" ? current + step.character : "";
    if (current.length > longest.length) longest = current;
  }
  return longest;
}

/** Upper then lower, one character at a time: `K` (Kelvin) and `ſ` fold with `k` and `s`, a final sigma with `σ`. */
export function fold(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.toLowerCase();
  let folded = "";
  for (const character of text) folded += character.toUpperCase().toLowerCase();
  return folded;
}
