import { defineCommand } from "./command.ts";
import { printJson, writeOut } from "./output.ts";

export default defineCommand({
  meta: {
    name: "provider types",
    description: "Print the world as TypeScript declarations: latchgate provider types > latchgate.d.ts",
  },
  async run({ args }) {
    const { worldDeclarations } = await import("../sandbox/index.ts");
    const declarations = worldDeclarations();
    if (args.json) await printJson({ declarations });
    else await writeOut(declarations);
    return 0;
  },
});
