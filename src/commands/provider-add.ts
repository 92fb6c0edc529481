import { basename, resolve } from "node:path";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { printJson, printLine } from "./output.ts";
import { describedJson, describedText, examine, openStore } from "./provider-component.ts";

export default defineCommand({
  meta: {
    name: "provider add",
    description: "Check a component as the gate would, store it in the project and pin its digest",
  },
  args: {
    file: { type: "positional", description: "The component" },
    name: {
      type: "string",
      description: "Name for it; by default that of the file",
      valueHint: "NAME",
    },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const { readComponentFile } = await import("../providers/store.ts");
    const { store, allowUnlocked } = await openStore(args.dir);
    const bytes = readComponentFile(resolve(process.cwd(), args.file));
    const described = await examine(bytes, allowUnlocked);
    const name = args.name ?? basename(args.file).replace(/\.wasm$/, "");
    const added = store.add(name, bytes, described.imports);
    if (args.json)
      await printJson({ ok: true, name: added.name, ...describedJson(described, bytes.byteLength) });
    else {
      await printLine(`${added.name} is stored\n${describedText(described, bytes.byteLength)}`);
      await printLine(`in a manifest: provider: ${added.digest}`);
    }
    return 0;
  },
});
