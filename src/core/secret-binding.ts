/**
 * Where a credential goes in one planned request. Part of the plan: hashed, shown to the approver, judged by policy.
 * It names the secret and never holds its value.
 */
export interface SecretBinding {
  /** Name in the secrets file, see {@link SECRET_NAME}. */
  readonly secret: string;
  /** `basic` is the `authorization` header with the value in base64 (RFC 7617); bearer tokens are a `header`. */
  readonly in: "header" | "basic" | "query" | "path" | "body";
  /**
   * Lower-case header; query parameter; the placeholder that stands in the planned path, see {@link pathPlaceholder};
   * JSON pointer into a JSON body (RFC 6901), or form field.
   */
  readonly name: string;
  /** Text with `{secret}` in it once. */
  readonly format: string;
  /** `https://host[:port]` that the value may be sent to: the origin of the plan's own URL. */
  readonly origin: string;
  /** A call goes without an optional secret when there is none, or when policy withholds it. */
  readonly required: boolean;
}

/** What a secret may be called. */
export const SECRET_NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/** The one mark of a format where the value goes. */
export const SECRET_MARK = "{secret}";

/** What stands for a credential in a planned path, as the URL parser writes `{name}`. */
export function pathPlaceholder(name: string): string {
  return `%7B${name}%7D`;
}

/** Each name once, in the order of the bindings. */
export function secretNames(bindings: readonly SecretBinding[]): readonly string[] {
  return [...new Set(bindings.map((binding) => binding.secret))];
}
