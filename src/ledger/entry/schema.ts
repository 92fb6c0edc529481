/**
 * Closed schemas for entry bodies: small, allocation-free checks, since the verifier runs them once per entry.
 * A schema returns null when the value fits, else where it does not.
 */
export type Schema<T> = ((value: unknown, at: string) => string | null) & { readonly type?: T };

export type Infer<S> = S extends Schema<infer T> ? T : never;

export function text(longest = 1024): Schema<string> {
  return (value, at) =>
    typeof value === "string" && value.length <= longest && value.isWellFormed() ? null : `${at}: not a text`;
}

export function pattern(regex: RegExp, what: string): Schema<string> {
  return (value, at) => (typeof value === "string" && regex.test(value) ? null : `${at}: not ${what}`);
}

export function oneOf<const T extends string>(...values: readonly T[]): Schema<T> {
  const set: ReadonlySet<unknown> = new Set(values);
  return (value, at) => (set.has(value) ? null : `${at}: not one of ${values.join(", ")}`);
}

export const integer: Schema<number> = (value, at) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? null : `${at}: not a non-negative integer`;

export const boolean: Schema<boolean> = (value, at) =>
  typeof value === "boolean" ? null : `${at}: not a boolean`;

export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return (value, at) => (value === null ? null : schema(value, at));
}

export function list<T>(schema: Schema<T>, longest = 256): Schema<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length > longest) return `${at}: not a list of at most ${longest}`;
    for (let i = 0; i < value.length; i++) {
      const fault = schema(value[i], at);
      if (fault !== null) return `${fault} (item ${i})`;
    }
    return null;
  };
}

/** An object with exactly these members: none missing, none more. */
export function closed<M extends Record<string, Schema<unknown>>>(
  members: M,
): Schema<{ readonly [K in keyof M]: Infer<M[K]> }> & { readonly members: M } {
  const entries = Object.entries(members).map(([name, schema]) => ({ name, schema, below: `.${name}` }));
  const check = (value: unknown, at: string) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return `${at}: not an object`;
    const object = value as Record<string, unknown>;
    for (const { name, schema, below } of entries) {
      if (!Object.hasOwn(object, name)) return `${at}${below}: missing`;
      // The way here is put before a fault, not made for every value that has none.
      const fault = schema(object[name], below);
      if (fault !== null) return at + fault;
    }
    for (const name in object) if (!Object.hasOwn(members, name)) return `${at}.${name}: unknown member`;
    return null;
  };
  return Object.assign(check, { members });
}
