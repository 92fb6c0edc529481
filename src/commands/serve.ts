import { existsSync } from "node:fs";
import { join } from "node:path";
import { stateDir } from "../client/state.ts";
import { loadConfig } from "../config/load.ts";
import { findProject, namedProject, PROJECT_FOLDER } from "../config/project.ts";
import type { JsonObject } from "../core/json.ts";
import { fingerprint } from "../keys/jwk.ts";
import { closeOwnMemory } from "../sandbox/index.ts";
import { boundaryNote } from "../server/boundary.ts";
import { unsafeSettings } from "../server/evidence.ts";
import { projectPaths } from "../server/project-paths.ts";
import { type RunningServer, startServer } from "../server/start.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { EXIT } from "./exit-code.ts";
import { createProject } from "./first-start.ts";
import { jsonText, note, printError, printJson, printLine } from "./output.ts";
import { openIdentity, PASSPHRASE_FLAG } from "./secrets-identity.ts";

export default defineCommand({
  meta: {
    name: "serve",
    description:
      "Run the gate in the foreground; in a folder without a project, create one with safe defaults",
  },
  args: { ...DIR_FLAG, ...PASSPHRASE_FLAG },
  async run({ args }) {
    // Before there is a secret in it.
    closeOwnMemory();
    const around = { cwd: process.cwd(), env: process.env, dir: args.dir };
    const named = namedProject(around);
    const found = named !== null && !existsSync(named.dir) ? null : findProject(around);
    const dir = found?.dir ?? named?.dir ?? join(process.cwd(), PROJECT_FOLDER);
    const created = found === null ? createProject(dir, stateDir(process.env)) : null;
    const config = loadConfig(projectPaths(dir).config, process.env);
    const identity = await openIdentity(config, dir, args["identity-passphrase-fd"]);
    const server = await startServer({
      dir,
      config,
      identity,
      report: (line) => note(`latchgate: ${line}`),
      log: writeLog,
      onFatal: (error) => {
        printError(error, args.json);
        process.exit(EXIT.error);
      },
    });
    // Before the banner: whoever has read it may already send a signal.
    const stopped = new Promise<void>((resolve) => {
      let stopping = false;
      const stop = (signal: string) => {
        // A second signal does not wait for what still runs; start closes what it left open.
        if (stopping) process.exit(EXIT.error);
        stopping = true;
        note(`latchgate: ${signal}, finishing what runs`);
        server.stop(signal).then(resolve, (error: unknown) => {
          printError(error, args.json);
          process.exit(EXIT.error);
        });
      };
      process.on("SIGTERM", () => stop("SIGTERM"));
      process.on("SIGINT", () => stop("SIGINT"));
    });
    const banner = describe(server, dir, created);
    if (args.json) await printJson({ ok: true, ...Object.fromEntries(banner.facts) });
    else
      await printLine(
        [...banner.facts.map(([name, value]) => `${`${name}:`.padEnd(13)}${value}`), "", ...banner.next].join(
          "\n",
        ),
      );
    await stopped;
    return EXIT.done;
  },
});

/** One JSON object on each line of stderr. Who does not read it does not hold up calls: it is written aside. */
async function writeLog(entries: readonly JsonObject[]): Promise<void> {
  try {
    await Bun.write(Bun.stderr, entries.map((entry) => `${jsonText(entry, false)}\n`).join(""));
  } catch {
    // Nobody listens on stderr; the log is for whoever does.
  }
}

function describe(
  { gate, sockets, closedGrants }: RunningServer,
  dir: string,
  created: { readonly operator: string; readonly operatorKey: string } | null,
): { facts: [string, string][]; next: string[] } {
  const mapped = Object.entries(gate.config.identity.principals);
  const same = gate.config.identity.principals[String(gate.uid)] !== undefined;
  const evidence = gate.reader.keys().find((key) => key.purpose === "evidence");
  const facts: [string, string][] = [
    ["project", `${dir}${created === null ? "" : " (new)"}`],
    ["socket", sockets.client],
    ["admin", sockets.admin],
    ["boundary", same ? `same_uid: ${boundaryNote("same_uid")}` : "uid: agents run under other accounts"],
    ["principals", mapped.map(([uid, entry]) => entry.principal ?? `uid:${uid}`).join(", ") || "none"],
    ["operators", Object.keys(gate.config.operators).join(", ") || "none: nobody can approve"],
    ["files", gate.fsRoot],
    [
      "actions",
      gate.registry
        .list()
        .map(({ id }) => id)
        .join(", "),
    ],
    ["policy", gate.policy.version],
    ["ledger", `log ${gate.ledger.log}`],
    ["fingerprint", evidence === undefined ? "" : fingerprint(evidence.kid)],
  ];
  if (unsafeSettings(gate.config).length > 0) facts.push(["unsafe", unsafeSettings(gate.config).join(", ")]);
  if (closedGrants > 0)
    facts.push(["unresolved", `${closedGrants} calls of an earlier run closed as indeterminate`]);
  const next = ["note the fingerprint elsewhere: latchgate verify --trust needs it"];
  if (created !== null) {
    next.push(
      `operator key: ${created.operatorKey}`,
      `recovery key: ${join(dir, "keys")}/recovery-*.pem; move it to another machine`,
    );
  }
  next.push("", "next, in another shell:", "  latchgate execute fs_read path=README.md");
  return { facts, next };
}
