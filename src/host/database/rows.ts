import { canonicalJson } from "../../core/canonical-json.ts";
import { type Json, JsonError, parseJson } from "../../core/json.ts";
import { HostFailure } from "../failure.ts";

/** The deepest value that a row may hold: what carries the rows to the agent has a limit too. */
const DEEPEST = 24;

/** Strings and numbers of a JSON text; between them stands nothing that looks like either. */
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * A row as `row_to_json` wrote it, with nothing lost: a number that a double does not hold exactly, digit for digit,
 * becomes text. Throws {@link HostFailure} `duplicate_column` and `malformed_response`.
 */
export function readRow(text: string): Json {
  const exact = text.replace(STRING_OR_NUMBER, (token) =>
    token.startsWith('"') || isExact(token) ? token : `"${token}"`,
  );
  try {
    return parseJson(Buffer.from(exact), { bytes: exact.length * 4, depth: DEEPEST });
  } catch (thrown) {
    if (!(thrown instanceof JsonError)) throw thrown;
    if (thrown.fault === "duplicate_member")
      throw new HostFailure("duplicate_column", "two columns have the same name", { cause: thrown });
    throw new HostFailure("malformed_response", "a row is not json that can be carried", { cause: thrown });
  }
}

function isExact(token: string): boolean {
  const value = Number(token);
  return String(value) === token && (Number.isSafeInteger(value) || !Number.isInteger(value));
}

/** What a database gave back, within its limits. */
export interface ResultRows {
  /** Canonical JSON (RFC 8785) of a list with an object for each row. */
  readonly json: string;
  readonly count: number;
}

/** Rows as the component gets them. Throws {@link HostFailure} `too_many_rows` and `response_too_large`. */
export function resultRows(rows: readonly Json[], mostRows: number, mostBytes: number): ResultRows {
  if (rows.length > mostRows) throw new HostFailure("too_many_rows", "more rows than the plan allows");
  const json = canonicalJson(rows);
  if (Buffer.byteLength(json) > mostBytes)
    throw new HostFailure("response_too_large", "the rows are larger than the limit");
  return { json, count: rows.length };
}
