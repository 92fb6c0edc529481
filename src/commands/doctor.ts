import { findProject } from "../config/project.ts";
import { needsTrust } from "../config/trust.ts";
import { type Check, good, runChecks } from "../server/checks.ts";
import { projectPaths } from "../server/project-paths.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { EXIT } from "./exit-code.ts";
import { hasColour, paint, printJson, printLine, safe } from "./output.ts";
import { openIdentity, PASSPHRASE_FLAG } from "./secrets-identity.ts";
import { trustedIdentity } from "./trusted.ts";

const STYLE = { ok: "green", warning: "yellow", error: "red" } as const;

/** Whether what opens the secrets is the project's own, or trusted. */
function trustCheck(dir: string): Check {
  return {
    name: "trust",
    async run({ config }) {
      if (config === null) return [];
      const origin = trustedIdentity(config, dir);
      return [good(`${origin.setting} ${needsTrust(origin) ? "is trusted" : "is the folder's own"}`)];
    },
  };
}

export default defineCommand({
  meta: { name: "doctor", description: "Whether a gate could start here, and what its runners are held by" },
  args: { ...DIR_FLAG, ...PASSPHRASE_FLAG },
  async run({ args }) {
    const project = findProject({ cwd: process.cwd(), env: process.env, dir: args.dir });
    const results = await runChecks(
      project === null ? null : projectPaths(project.dir),
      process.env,
      // Without a project there are no secrets, and nobody asks.
      (config) => openIdentity(config, project?.dir ?? "", args["identity-passphrase-fd"]),
      project === null ? [] : [trustCheck(project.dir)],
    );
    const ok = results.every(({ level }) => level !== "error");
    if (args.json) await printJson({ ok, checks: results.map((result) => ({ ...result })) });
    else {
      const colour = hasColour(1);
      const lines = results.flatMap(({ check, level, code, text, hint }) => [
        `${paint(level.padEnd(8), STYLE[level], colour)} ${check.padEnd(14)} ${safe(text)}${level === "ok" ? "" : ` (${safe(code)})`}`,
        ...(hint === null ? [] : [`${" ".repeat(9)}${paint("hint:", "dim", colour)} ${safe(hint)}`]),
      ]);
      await printLine(lines.join("\n"));
    }
    return ok ? EXIT.done : EXIT.error;
  },
});
