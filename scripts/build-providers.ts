// Builds the built-in providers and their pins: bun scripts/build-providers.ts [--check]
// With --check nothing is written; a committed file that differs from a fresh build is an error.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../src/core/bytes.ts";
import { ingestComponent } from "../src/sandbox/ingest.ts";
import { validateComponent } from "../src/sandbox/validate.ts";
import { compileComponent } from "./assemblyscript.ts";

const PROVIDERS = join(import.meta.dir, "..", "providers");
const NAMES = ["http_api", "fs", "database", "smtp", "queue", "storage"] as const;

const outputs = new Map<string, Uint8Array>();
const digests: Record<string, string> = {};
for (const name of NAMES) {
  const component = await compileComponent(`${name}/index.ts`);
  const digest = `sha256:${sha256Hex(component)}`;
  await ingestComponent({ bytes: component, pin: digest, origin: "builtin", validate: validateComponent });
  outputs.set(join(name, `${name}.wasm`), component);
  digests[name] = digest;
}
outputs.set("digests.json", Buffer.from(`${JSON.stringify(digests, null, 2)}\n`));

const check = process.argv.includes("--check");
for (const [name, bytes] of outputs) {
  const path = join(PROVIDERS, name);
  if (!check) {
    writeFileSync(path, bytes);
    console.log(`providers/${name}: ${bytes.byteLength} bytes`);
  } else if (!readFileSync(path).equals(bytes)) {
    console.error(
      `providers/${name} is not what its sources build; run the build without --check and commit it`,
    );
    process.exitCode = 1;
  }
}
