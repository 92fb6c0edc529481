import { fstatSync, writeSync } from "node:fs";
import { LatchGateError, messageOf } from "../core/errors.ts";
import type { Json } from "../core/json.ts";

/**
 * Whether a descriptor is a terminal. Pipes and files, the case of scripts, are told by their kind alone: asking
 * properly loads the terminal module, which costs 10 ms.
 */
export function isTerminal(fd: 0 | 1 | 2): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false;
  } catch {
    return false; // a closed descriptor
  }
  return (require("node:tty") as typeof import("node:tty")).isatty(fd);
}

/** Colour on terminals only; NO_COLOR set to anything turns it off (no-color.org). */
export function hasColour(fd: 1 | 2): boolean {
  const { NO_COLOR, TERM } = process.env;
  return (NO_COLOR === undefined || NO_COLOR === "") && TERM !== "dumb" && isTerminal(fd);
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

export function paint(text: string, style: keyof typeof CODES, colour: boolean): string {
  return colour ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
}

// C0, DEL, C1, zero-width and bidirectional controls, line separators, byte order mark.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Text for a terminal or a table cell: control characters and those that change the direction or hide are shown as
 * escapes. What the gate tells may come from an agent, who must not be able to rewrite what an operator sees.
 */
export function safe(text: string): string {
  return text.toWellFormed().replace(UNSAFE, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** JSON as text, on several lines when asked; a terminal gets the escapes of {@link safe}, which are valid JSON too. */
export function jsonText(value: Json, pretty: boolean): string {
  return JSON.stringify(value, null, pretty ? 2 : 0).replace(UNSAFE, (c) => (c === "\n" ? c : escaped(c)));
}

/** Writes to stdout and waits until it is out. A reader that has gone, as in `| head`, is no error. */
export async function writeOut(text: string): Promise<void> {
  try {
    await Bun.write(Bun.stdout, text);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPIPE")) throw cause;
  }
}

export function printLine(text: string): Promise<void> {
  return writeOut(`${text}\n`);
}

/** One JSON value on stdout: on several lines on a terminal, on one line when piped. */
export function printJson(value: Json): Promise<void> {
  return printLine(jsonText(value, isTerminal(1)));
}

/** A line for people on stderr, beside what stdout carries. */
export function note(text: string): void {
  writeErr(`${text}\n`);
}

export function writeErr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // Nobody listens on stderr; the exit code still tells.
  }
}

/**
 * What happened, the code, what to do: on stderr, as `error: … (code)` and `hint: …` lines, or with `--json` as
 * `{"ok":false,"error":{"code","message","hint"}}` on one line.
 */
export function printError(error: unknown, json: boolean): void {
  const code = error instanceof LatchGateError ? error.code : "internal_error";
  const message = messageOf(error);
  const hint = error instanceof LatchGateError ? error.hint : undefined;
  if (json) {
    writeErr(`${jsonText({ ok: false, error: { code, message, hint: hint ?? null } }, false)}\n`);
    return;
  }
  const colour = hasColour(2);
  writeErr(`${paint("error:", "red", colour)} ${safe(message)} (${safe(code)})\n`);
  if (hint !== undefined) writeErr(`${paint("hint:", "dim", colour)} ${safe(hint)}\n`);
}

/** Rows under headings, columns padded to their widest cell; every cell made {@link safe}. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  colour: boolean,
): string {
  const cells = rows.map((row) => row.map(safe));
  const widths = headings.map((heading, i) =>
    cells.reduce((widest, row) => Math.max(widest, Bun.stringWidth(row[i] ?? "")), heading.length),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell)))
      .join("  ")
      .trimEnd();
  return [paint(line(headings), "bold", colour), ...cells.map(line)].join("\n");
}

/** Names and values under each other, one per line; nested values as JSON. */
export function fields(entries: readonly (readonly [name: string, value: Json | undefined])[]): string {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null);
  const width = shown.reduce((widest, [name]) => Math.max(widest, name.length), 0);
  return shown
    .map(([name, value]) => `${safe(name)}:${" ".repeat(width - name.length)} ${cell(value ?? null)}`)
    .join("\n");
}

/** A JSON value as one cell: text bare, everything else as compact JSON, null as nothing. */
export function cell(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? safe(value) : jsonText(value, false);
}
