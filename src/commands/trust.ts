import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { ensurePrivateDir, replacePrivateText, stateDir } from "../client/state.ts";
import { configuredCommands, trustDigest, trustRecord } from "../config/trust.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { jsonText, note, printJson, printLine } from "./output.ts";
import { loadProject } from "./project.ts";
import { confirm } from "./prompt.ts";

export default defineCommand({
  meta: {
    name: "trust",
    description: "Let this project's configuration run the commands that it names; any change asks again",
  },
  args: {
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const { dir, config } = loadProject(args.dir);
    const commands = configuredCommands(config);
    const shown = commands.map(({ setting, argv }) => ({ setting, argv: [...argv] }));
    if (commands.length === 0) {
      if (args.json) await printJson({ ok: true, commands: [] });
      else await printLine("the configuration runs no command: nothing to trust");
      return 0;
    }
    for (const { setting, argv } of shown) note(`${setting}: ${jsonText(argv, false)}`);
    confirm("Let the gate run this as your account?", args.yes);
    const real = realpathSync(dir);
    const state = stateDir(process.env);
    const record = trustRecord(state, real);
    ensurePrivateDir(state);
    ensurePrivateDir(dirname(record));
    replacePrivateText(record, `${trustDigest(real, commands)}\n`);
    if (args.json) await printJson({ ok: true, commands: shown });
    else await printLine(`trusted for ${real}`);
    return 0;
  },
});
