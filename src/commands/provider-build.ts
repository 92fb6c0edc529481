import { basename, resolve } from "node:path";
import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { note, printJson, printLine } from "./output.ts";
import { describedJson, describedText, examine } from "./provider-component.ts";

export default defineCommand({
  meta: {
    name: "provider build",
    description: "Make a component of TypeScript or JavaScript, with the tool chain on the path",
  },
  args: {
    source: { type: "positional", description: "The source that exports execute" },
    output: {
      type: "string",
      alias: "o",
      description: "File to write; by default the source's name with .wasm",
      valueHint: "PATH",
    },
    toolchain: {
      type: "string",
      description: "componentize-qjs or jco, in place of the one on the path; this program is run",
      valueHint: "PATH",
    },
  },
  async run({ args }) {
    const { statSync } = await import("node:fs");
    const { buildProvider } = await import("../providers/build.ts");
    const { findToolchain } = await import("../providers/toolchain.ts");
    const { replaceFile } = await import("../keys/replace-file.ts");
    const cwd = process.cwd();
    const source = resolve(cwd, args.source);
    if (!/\.(?:ts|js|mts|mjs)$/.test(source)) throw new UsageError("a source ends with .ts or .js");
    if (statSync(source, { throwIfNoEntry: false })?.isFile() !== true)
      throw new UsageError(`there is no file ${source}`);
    const path = process.env.PATH ?? "";
    const toolchain = findToolchain({ named: args.toolchain ?? null, path, cwd });
    note(`bundling ${source}, then running ${toolchain.path}`);
    const bytes = await buildProvider({ source, toolchain, path });
    // What the gate would refuse is not written.
    const described = await examine(bytes);
    const out = resolve(cwd, args.output ?? basename(source).replace(/\.[a-z]+$/, ".wasm"));
    replaceFile(out, bytes, 0o644);
    if (args.json) await printJson({ ok: true, path: out, ...describedJson(described, bytes.byteLength) });
    else await printLine(`${out}\n${describedText(described, bytes.byteLength)}`);
    return 0;
  },
});
