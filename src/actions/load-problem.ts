/**
 * Why a manifest was not taken. Stable codes:
 *
 * - `manifest_invalid`: the text breaks a rule of the format; the message says which.
 * - `duplicate_action`: two files of one source claim the same id.
 * - `override_refused`: it replaces another manifest by a weaker one without saying why.
 * - `path_escape`: the file or folder is a link that leads elsewhere.
 * - `unreadable`: the file or folder cannot be read.
 * - `unknown_action`: the preset names an id that no manifest has.
 */
export type LoadProblemCode =
  | "manifest_invalid"
  | "duplicate_action"
  | "override_refused"
  | "path_escape"
  | "unreadable"
  | "unknown_action";

export interface LoadProblem {
  readonly code: LoadProblemCode;
  /** The file as the source named it. */
  readonly file: string;
  /** Counted from 1; null when no line can be named. */
  readonly line: number | null;
  /** Members joined by dots, empty for the whole file. */
  readonly path: string;
  readonly message: string;
}

/** Where in a manifest a rule was broken, before the file and line are known. */
export interface Finding {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** One line for people: `file:line: path: message [code]`. */
export function formatProblem(problem: LoadProblem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  return `${place}: ${path}${problem.message} [${problem.code}]`;
}
