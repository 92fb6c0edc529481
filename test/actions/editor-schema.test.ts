import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020";
import { manifestSchemaText } from "../../scripts/build-manifest-schema.ts";
import { builtinManifests } from "../../src/actions/index.ts";
import { readYaml } from "../../src/actions/yaml-document.ts";
import { fsText, httpText } from "./manifests.ts";

const text = readFileSync(join(import.meta.dir, "..", "..", "docs", "manifest.schema.json"), "utf8");

test("docs/manifest.schema.json is what the code says: bun scripts/build-manifest-schema.ts", () => {
  expect(text).toBe(manifestSchemaText());
});

const validate = new Ajv2020({ strict: false, logger: false }).compile(JSON.parse(text));

test("editors accept every manifest that the gate accepts", () => {
  for (const manifest of [...builtinManifests().map((one) => one.text), httpText(), fsText()]) {
    const document = readYaml(manifest);
    expect(document.ok && validate(document.value)).toBe(true);
  }
});

test("editors mark unknown keys, wrong choices and broken schemas", () => {
  for (const change of [
    { tag: [] },
    { risk: { level: "none" } },
    { limits: { fule: 1 } },
    { params: { type: 1 } },
  ]) {
    const document = readYaml(httpText(change));
    expect(document.ok && validate(document.value)).toBe(false);
  }
});
