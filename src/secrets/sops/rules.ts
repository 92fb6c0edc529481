import { RE2JS } from "re2js";
import { damaged } from "../errors.ts";
import type { Plain } from "./tree.ts";

/** Which values of a file are encrypted: one rule of six, by the keys above a value or the comments before it. */
export type Rule = (path: readonly string[], comments: readonly string[]) => boolean;

const RULES = [
  "unencrypted_suffix",
  "encrypted_suffix",
  "unencrypted_regex",
  "encrypted_regex",
  "unencrypted_comment_regex",
  "encrypted_comment_regex",
] as const;

/** Reads the rule from a file's metadata; without one, keys that end in `_unencrypted` are left alone. */
export function ruleOf(metadata: { readonly [name: string]: Plain }): Rule {
  const given = RULES.filter(
    (name) => metadata[name] !== undefined && metadata[name] !== "" && metadata[name] !== null,
  );
  const [name, second] = given;
  if (second !== undefined) throw damaged("it has more than one rule of what is encrypted");
  const text = name === undefined ? "_unencrypted" : metadata[name];
  if (typeof text !== "string") throw damaged("its rule of what is encrypted is no text");
  switch (name) {
    case undefined:
    case "unencrypted_suffix":
      return (path) => !path.some((key) => key.endsWith(text));
    case "encrypted_suffix":
      return (path) => path.some((key) => key.endsWith(text));
  }
  const matches = pattern(text);
  switch (name) {
    case "unencrypted_regex":
      return (path) => !path.some(matches);
    case "encrypted_regex":
      return (path) => path.some(matches);
    case "unencrypted_comment_regex":
      return (_path, comments) => !comments.some(matches);
    case "encrypted_comment_regex":
      return (_path, comments) => comments.some(matches);
  }
}

/** Go's own regular expressions, in linear time: an attacker may have written the pattern. */
function pattern(text: string): (subject: string) => boolean {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(text);
  } catch {
    throw damaged("its rule of what is encrypted is no regular expression");
  }
  return (subject) => compiled.matcher(subject).find();
}
