/**
 * Closed schemas for entry bodies: small, allocation-free checks, since the verifier runs them once per entry.
 * A schema returns null when the value fits, else where it does not.
 */
export type Schema<T> = ((value: unknown, at: string) => string | null) & {
  readonly type?: T;
  readonly shape?: Shape;
  /** Whether the value fits and the members of all objects in it stand in canonical order (RFC 8785 §3.2.3). */
  readonly canonical?: (value: unknown) => boolean;
};

/** What a schema admits, as JSON Schema 2020-12: the published format is made of it. Lengths are UTF-16 code units. */
export type Shape = Readonly<Record<string, unknown>>;

type Check = (value: unknown, at: string) => string | null;

/** Gives a check its shape. One of values that may hold objects has to say of itself when they are `canonical`. */
export function shaped<T>(
  shape: Shape,
  check: Check,
  canonical: (value: unknown) => boolean = (value) =>
    // Of an object the check alone does not tell in which order its members stand.
    (typeof value !== "object" || value === null) && check(value, "") === null,
): Schema<T> {
  return Object.assign(check, { shape, canonical });
}

/** False says nothing: then the order is looked at apart. */
const canonicalOf = (schema: Schema<unknown>) => schema.canonical ?? (() => false);

/** The empty shape stands for a schema that does not say what it admits; the published format may have none. */
const shapeOf = (schema: Schema<unknown>): Shape => schema.shape ?? {};

export type Infer<S> = S extends Schema<infer T> ? T : never;

export function text(longest = 1024): Schema<string> {
  return shaped({ type: "string", maxLength: longest }, (value, at) =>
    typeof value === "string" && value.length <= longest && value.isWellFormed() ? null : `${at}: not a text`,
  );
}

export function pattern(regex: RegExp, what: string): Schema<string> {
  return shaped({ type: "string", pattern: regex.source, description: what }, (value, at) =>
    typeof value === "string" && regex.test(value) ? null : `${at}: not ${what}`,
  );
}

export function oneOf<const T extends string>(...values: readonly T[]): Schema<T> {
  const set: ReadonlySet<unknown> = new Set(values);
  return shaped({ enum: values }, (value, at) =>
    set.has(value) ? null : `${at}: not one of ${values.join(", ")}`,
  );
}

export const integer: Schema<number> = shaped(
  { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? null : `${at}: not a non-negative integer`,
);

export const boolean: Schema<boolean> = shaped({ type: "boolean" }, (value, at) =>
  typeof value === "boolean" ? null : `${at}: not a boolean`,
);

export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  const canonical = canonicalOf(schema);
  return shaped(
    { anyOf: [shapeOf(schema), { type: "null" }] },
    (value, at) => (value === null ? null : schema(value, at)),
    (value) => value === null || canonical(value),
  );
}

/** One of two; what does not fit is told by the second. */
export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  const [one, other] = [canonicalOf(first), canonicalOf(second)];
  return shaped(
    { anyOf: [shapeOf(first), shapeOf(second)] },
    (value, at) => (first(value, at) === null ? null : second(value, at)),
    (value) => one(value) || other(value),
  );
}

/** One of several closed objects, told apart by their `kind`. */
export function byKind<M extends Record<string, Schema<{ readonly kind: string }>>>(
  kinds: M,
): Schema<Infer<M[keyof M]>> {
  const known = new Map<unknown, Schema<unknown>>(Object.entries(kinds));
  const ofKind = (value: unknown): Schema<unknown> | undefined =>
    typeof value === "object" && value !== null
      ? known.get((value as { readonly kind?: unknown }).kind)
      : undefined;
  return shaped(
    { anyOf: [...known.values()].map(shapeOf) },
    (value, at) => {
      const schema = ofKind(value);
      return schema === undefined
        ? `${at}.kind: not one of ${[...known.keys()].join(", ")}`
        : schema(value, at);
    },
    (value) => ofKind(value)?.canonical?.(value) ?? false,
  );
}

export function list<T>(schema: Schema<T>, longest = 256): Schema<readonly T[]> {
  const canonical = canonicalOf(schema);
  return shaped(
    { type: "array", items: shapeOf(schema), maxItems: longest },
    (value, at) => {
      if (!Array.isArray(value) || value.length > longest) return `${at}: not a list of at most ${longest}`;
      for (let i = 0; i < value.length; i++) {
        const fault = schema(value[i], at);
        if (fault !== null) return `${fault} (item ${i})`;
      }
      return null;
    },
    (value) => Array.isArray(value) && value.length <= longest && value.every(canonical),
  );
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
  // By UTF-16 code units, which is how strings compare.
  const inOrder = entries
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, schema }) => ({ name, canonical: canonicalOf(schema) }));
  const canonical = (value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const object = value as Record<string, unknown>;
    let next = 0;
    for (const name in object) {
      const member = inOrder[next++];
      if (member === undefined || member.name !== name || !member.canonical(object[name])) return false;
    }
    return next === inOrder.length;
  };
  const shape: Shape = {
    type: "object",
    properties: Object.fromEntries(entries.map(({ name, schema }) => [name, shapeOf(schema)])),
    required: Object.keys(members),
    additionalProperties: false,
  };
  return Object.assign(check, { members, shape, canonical });
}
