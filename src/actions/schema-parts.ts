import { z } from "zod";
import { didYouMean } from "../core/suggest.ts";
import { PARAMETER_NAME } from "./names.ts";

/** A mapping that refuses unknown keys: one line of the message for each, with the nearest known one. */
export function closed<Shape extends z.core.$ZodShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== "unrecognized_keys" || !Array.isArray(issue.keys)) return undefined;
      return issue.keys.map((key) => unknownKey(String(key), Object.keys(shape))).join("\n");
    },
  });
}

export function unknownKey(key: string, known: readonly string[]): string {
  const near = didYouMean(key, known);
  return `unknown key ${key.slice(0, 64)}${near === undefined ? "" : `; did you mean ${near}?`}`;
}

/** A string that a rule accepts; the rule answers null or what is wrong. */
export function ruled(rule: (text: string) => string | null) {
  return z.string().superRefine((text, context) => {
    const fault = rule(text);
    if (fault !== null) context.addIssue({ code: "custom", message: fault });
  });
}

export function matching(pattern: RegExp, message: string) {
  return z.string().regex(pattern, { error: message });
}

export const exactlyOne = (names: readonly string[]) => ({
  check: (value: object) => names.filter((name) => Object.hasOwn(value, name)).length === 1,
  message: { error: `must have exactly one of ${names.join(", ")}` },
});

export const parameter = closed({
  $param: matching(PARAMETER_NAME, "must be the name of a parameter"),
}).describe("The value of a parameter.");

export const whole = (least: number, most: number) => z.int().min(least).max(most);

/** JSON that the YAML reader has already found to be sound. */
export const json = z.unknown();

/** A JSON Schema; checked by compiling it, see json-schema.ts. */
export const jsonSchema = z.record(z.string(), z.unknown());

export type ParameterRef = z.output<typeof parameter>;
