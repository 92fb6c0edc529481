import type { WitType } from "./type.ts";
import { INTERFACES, PACKAGE, VERSION, WORLD_FUNCTIONS, type WorldFunction } from "./world.ts";

/**
 * The world as TypeScript declarations, for authors of providers: one module for each interface, and the type of what a
 * provider exports. Made of the same data that the sandbox links by, so the two cannot differ.
 */
export function worldDeclarations(): string {
  return [
    `// ${PACKAGE}@${VERSION}. Every function answers when the host has; a refusal is thrown, as an Error`,
    "// whose `payload` is the stable code. Bytes are Uint8Array, integers of 64 bits are bigint.",
    "",
    ...INTERFACES.map(moduleOf),
    "/** What a provider exports: `export const execute: Execute = (taskJson) => …`. What it throws is its error. */",
    "type Execute = (taskJson: string) => string;",
    "",
  ].join("\n");
}

function moduleOf(name: string): string {
  const functions = WORLD_FUNCTIONS.filter((declared) => declared.interface === name);
  return [
    `declare module ${JSON.stringify(`${PACKAGE}/${name}@${VERSION}`)} {`,
    ...functions.map((declared) => `  export function ${binding(declared)};`),
    "}",
    "",
  ].join("\n");
}

function binding({ function: name, params, result }: WorldFunction): string {
  const camel = name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  const given = params.map((type, i) => `${i === 0 ? "request" : `request${i}`}: ${typeText(type)}`);
  const answer = result === null ? "void" : typeText(result.kind === "result" ? result.ok : result);
  // `delete` is a word of the language: a module can export it under that name only.
  if (camel === "delete") return `delete_(${given.join(", ")}): ${answer};\n  export { delete_ as delete }`;
  return `${camel}(${given.join(", ")}): ${answer}`;
}

function typeText(type: WitType): string {
  switch (type.kind) {
    case "bool":
      return "boolean";
    case "u8":
    case "u16":
    case "u32":
      return "number";
    case "u64":
      return "bigint";
    case "string":
      return "string";
    case "bytes":
      return "Uint8Array";
    case "list":
      return `(${typeText(type.item)})[]`;
    case "record":
      return `{ ${type.fields.map((field) => `${field.member}${field.type.kind === "option" ? "?" : ""}: ${typeText(field.type)}`).join("; ")} }`;
    case "tuple":
      return `[${type.fields.map((field) => typeText(field.type)).join(", ")}]`;
    case "enum":
      return type.cases.map((name) => JSON.stringify(name)).join(" | ");
    case "option":
      return `${typeText(type.some)} | undefined | null`;
    case "result":
      throw new TypeError("a result inside another type");
  }
}
