import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { ensurePrivateDir, replacePrivateText, stateDir } from "../client/state.ts";
import { identityOrigin, needsTrust, shownOrigin, trustDigest, trustRecord } from "../config/trust.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { jsonText, note, printJson, printLine } from "./output.ts";
import { loadProject } from "./project.ts";
import { confirm } from "./prompt.ts";

export default defineCommand({
  meta: {
    name: "trust",
    description:
      "Let this project run the command, or use the identity from outside its folder, that it names",
  },
  args: {
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const { dir, config } = loadProject(args.dir);
    const origin = identityOrigin(config, dir);
    const shown = shownOrigin(origin);
    if (!needsTrust(origin)) {
      if (args.json) await printJson({ ok: true, ...shown });
      else
        await printLine(
          "the configuration runs no command and takes no identity from outside: nothing to trust",
        );
      return 0;
    }
    for (const { setting, argv } of shown.commands) note(`${setting}: ${jsonText(argv, false)}`);
    for (const { setting, ...from } of shown.identities) note(`${setting}: ${jsonText(from, false)}`);
    confirm(
      shown.commands.length > 0
        ? "Let the gate run this as your account?"
        : "Let the actions of this folder use every secret that this identity opens?",
      args.yes,
    );
    const real = realpathSync(dir);
    const state = stateDir(process.env);
    const record = trustRecord(state, real);
    ensurePrivateDir(state);
    ensurePrivateDir(dirname(record));
    replacePrivateText(record, `${trustDigest(real, origin)}\n`);
    if (args.json) await printJson({ ok: true, ...shown });
    else await printLine(`trusted for ${real}`);
    return 0;
  },
});
