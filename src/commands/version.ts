import { VERSION } from "../core/version.ts";
import { defineCommand } from "./command.ts";
import { printJson, printLine } from "./output.ts";

export default defineCommand({
  meta: { name: "version", description: "Print the version of this program" },
  async run({ args }) {
    const about = {
      version: VERSION,
      runtime: `bun ${Bun.version}`,
      platform: `${process.platform}-${process.arch}`,
    };
    if (args.json) await printJson(about);
    else await printLine(`latchgate ${about.version} (${about.runtime}, ${about.platform})`);
    return 0;
  },
});
