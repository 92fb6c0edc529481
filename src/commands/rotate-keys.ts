import { existsSync } from "node:fs";
import { ClientError } from "../client/errors.ts";
import { openOperator } from "../client/open.ts";
import { findProject } from "../config/project.ts";
import { LatchGateError } from "../core/errors.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { cell, note, printJson, printLine } from "./output.ts";
import { surroundings } from "./surroundings.ts";

const PURPOSES = ["evidence", "checkpoint", "lease"] as const;

export default defineCommand({
  meta: {
    name: "rotate-keys",
    description: "Replace a key of the gate; the log records it, signed by the old key",
  },
  args: {
    purpose: {
      type: "string",
      description: `${PURPOSES.join(", ")}; evidence by default`,
      valueHint: "PURPOSE",
    },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const purpose = PURPOSES.find((known) => known === (args.purpose ?? "evidence"));
    if (purpose === undefined)
      throw new UsageError(`there is no key for ${args.purpose}`, `one of ${PURPOSES.join(", ")}`);
    const rotated = (await rotateRunning(args, purpose)) ?? (await rotateStopped(args, purpose));
    if (args.json) await printJson({ ok: true, ...rotated });
    else
      await printLine(
        `${purpose} key ${cell(rotated.previous_kid)} is retired, ${cell(rotated.kid)} signs from now on`,
      );
    return 0;
  },
});

type Rotated = { readonly purpose: string; readonly previous_kid: string; readonly kid: string };

/** Through the gate; null when none is running. */
async function rotateRunning(
  args: { readonly dir?: string | undefined; readonly operator?: string | undefined },
  purpose: string,
): Promise<Rotated | null> {
  try {
    const client = await openOperator(surroundings(args));
    const { body } = await client.request({
      method: "POST",
      path: "/v1/admin/rotate-keys",
      body: { purpose },
    });
    const { previous_kid, kid } = body as unknown as Rotated; // the admin api's own answer
    return { purpose, previous_kid, kid };
  } catch (error) {
    if (error instanceof LatchGateError && error.code === "gate_unreachable") return null;
    throw error;
  }
}

/** On the files of a stopped gate, under its lock. */
async function rotateStopped(
  args: { readonly dir?: string | undefined },
  purpose: (typeof PURPOSES)[number],
): Promise<Rotated> {
  const project = findProject({ cwd: process.cwd(), env: process.env, dir: args.dir });
  if (project === null || !existsSync(project.dir))
    throw new ClientError("gate_unreachable", "no gate answers, and there is no project folder here");
  note("no gate is running: rotating in its files");
  const { rotateOffline } = await import("../server/offline.ts");
  const { previous, kid } = await rotateOffline(project.dir, purpose);
  return { purpose, previous_kid: previous, kid };
}
