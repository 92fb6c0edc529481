// Writes docs/manifest.schema.json, the JSON Schema of action manifests for editors. With --check it only compares.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { schemaForEditors } from "../src/actions/editor-schema.ts";

const file = join(import.meta.dir, "..", "docs", "manifest.schema.json");

/** The file's text as it should be. */
export function manifestSchemaText(): string {
  return `${JSON.stringify(schemaForEditors(), null, 2)}\n`;
}

if (import.meta.main) {
  const text = manifestSchemaText();
  if (!process.argv.includes("--check")) {
    await writeFile(file, text);
    console.log(`wrote ${file}`);
  } else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    console.error("docs/manifest.schema.json is out of date; run bun scripts/build-manifest-schema.ts");
    process.exit(1);
  }
}
