import { resolve } from "node:path";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { printJson, printLine } from "./output.ts";
import { describedJson, describedText, examine, openStore } from "./provider-component.ts";

export default defineCommand({
  meta: {
    name: "provider inspect",
    description: "Check a component as the gate would, and tell what it imports, needs and may use",
  },
  args: {
    component: { type: "positional", description: "A file, or the name or digest of a stored one" },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const bytes = await bytesOf(args.component, args.dir);
    const described = await examine(bytes);
    if (args.json) await printJson(describedJson(described, bytes.byteLength));
    else await printLine(describedText(described, bytes.byteLength));
    return 0;
  },
});

async function bytesOf(component: string, dir: string | undefined): Promise<Uint8Array> {
  const { readComponentFile } = await import("../providers/store.ts");
  if (component.endsWith(".wasm") || component.includes("/"))
    return readComponentFile(resolve(process.cwd(), component));
  const { store } = await openStore(dir);
  return store.read(store.find(component));
}
