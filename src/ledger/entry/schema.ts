/**
 * Closed schemas for entry bodies: small, allocation-free checks, since the verifier runs them once per entry.
 * A schema returns null when the value fits, else where it does not.
 */
export type Schema<T> = ((value: unknown, at: string) => string | null) & {
  readonly type?: T;
  readonly shape?: Shape;
  readonly form?: Form;
};

/**
 * Source of a regular expression without groups that capture: a text that matches it whole is the canonical text
 * (RFC 8785) of a value that fits. One that does not match may be such a text all the same, as forms know printable ASCII
 * without escapes and integers of at most 15 digits. Null where nothing is known.
 */
export type Form = string | null;

/** What a schema admits, as JSON Schema 2020-12: the published format is made of it. Lengths are UTF-16 code units. */
export type Shape = Readonly<Record<string, unknown>>;

type Check = (value: unknown, at: string) => string | null;

/** Gives a check what it admits, and what its texts look like. */
export function shaped<T>(shape: Shape, check: Check, form: Form): Schema<T> {
  return Object.assign(check, { shape, form });
}

const formOf = (schema: Schema<unknown>): Form => schema.form ?? null;

/** Made of the forms of parts; null when one of them is. */
function formFrom(parts: readonly Schema<unknown>[], make: (forms: readonly string[]) => string): Form {
  const forms = parts.map(formOf).filter((form) => form !== null);
  return forms.length === parts.length ? make(forms) : null;
}

/** The text itself, as a source. */
const literal = (text: string): string => JSON.stringify(text).replaceAll(/\W/g, "\\$&");
const oneOfForms = (forms: readonly string[]): string => `(?:${forms.join("|")})`;

/** The empty shape stands for a schema that does not say what it admits; the published format may have none. */
const shapeOf = (schema: Schema<unknown>): Shape => schema.shape ?? {};

export type Infer<S> = S extends Schema<infer T> ? T : never;

export function text(longest = 1024): Schema<string> {
  return shaped(
    { type: "string", maxLength: longest },
    (value, at) =>
      typeof value === "string" && value.length <= longest && value.isWellFormed()
        ? null
        : `${at}: not a text`,
    `"[ !#-\\[\\]-~]{0,${longest}}"`,
  );
}

/** @param regex from `^` to `$`, of printable ASCII that JSON does not escape */
export function pattern(regex: RegExp, what: string): Schema<string> {
  return shaped(
    { type: "string", pattern: regex.source, description: what },
    (value, at) => (typeof value === "string" && regex.test(value) ? null : `${at}: not ${what}`),
    `"(?:${regex.source.slice(1, -1)})"`,
  );
}

export function oneOf<const T extends string>(...values: readonly T[]): Schema<T> {
  const set: ReadonlySet<unknown> = new Set(values);
  return shaped(
    { enum: values },
    (value, at) => (set.has(value) ? null : `${at}: not one of ${values.join(", ")}`),
    oneOfForms(values.map(literal)),
  );
}

export const integer: Schema<number> = shaped(
  { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= 0 ? null : `${at}: not a non-negative integer`,
  "(?:0|[1-9][0-9]{0,14})",
);

export const boolean: Schema<boolean> = shaped(
  { type: "boolean" },
  (value, at) => (typeof value === "boolean" ? null : `${at}: not a boolean`),
  "(?:true|false)",
);

export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return shaped(
    { anyOf: [shapeOf(schema), { type: "null" }] },
    (value, at) => (value === null ? null : schema(value, at)),
    formFrom([schema], (forms) => oneOfForms(["null", ...forms])),
  );
}

/** One of two; what does not fit is told by the second. */
export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  return shaped(
    { anyOf: [shapeOf(first), shapeOf(second)] },
    (value, at) => (first(value, at) === null ? null : second(value, at)),
    formFrom([first, second], oneOfForms),
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
    formFrom([...known.values()], oneOfForms),
  );
}

export function list<T>(schema: Schema<T>, longest = 256): Schema<readonly T[]> {
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
    formFrom([schema], ([item]) => `\\[(?:${item}(?:,${item}){0,${longest - 1}})?\\]`),
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
  const forms = memberForms(members);
  const form = forms && `\\{${forms.map(({ key, value }) => `${key}:${value}`).join(",")}\\}`;
  const shape: Shape = {
    type: "object",
    properties: Object.fromEntries(entries.map(({ name, schema }) => [name, shapeOf(schema)])),
    required: Object.keys(members),
    additionalProperties: false,
  };
  return Object.assign(check, { members, shape, form });
}

export interface MemberForm {
  readonly name: string;
  /** Of the name in its quotes. */
  readonly key: string;
  /** Of the value. */
  readonly value: string;
}

/** The forms of the members of an object that has exactly these, in canonical order; null where one is not known. */
export function memberForms(
  members: Readonly<Record<string, Schema<unknown>>>,
): readonly MemberForm[] | null {
  const forms: MemberForm[] = [];
  // By UTF-16 code units (RFC 8785 §3.2.3), as strings compare.
  for (const name of Object.keys(members).sort()) {
    const value = members[name]?.form ?? null;
    if (value === null) return null;
    forms.push({ name, key: literal(name), value });
  }
  return forms;
}
