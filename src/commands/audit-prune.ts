import { existsSync } from "node:fs";
import { ClientError } from "../client/errors.ts";
import { openOperator } from "../client/open.ts";
import { findProject } from "../config/project.ts";
import { rfc3339, systemClock } from "../core/clock.ts";
import { LatchGateError } from "../core/errors.ts";
import { readTime } from "./audit.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { cell, note, printJson, printLine } from "./output.ts";
import { confirm } from "./prompt.ts";
import { surroundings } from "./surroundings.ts";

interface Pruning {
  readonly payloads: number;
  readonly bytes: number;
}

export default defineCommand({
  meta: {
    name: "audit prune",
    description: "Destroy stored parameters, plans and outputs, by a signed act; the log stays whole",
  },
  args: {
    before: {
      type: "string",
      description: "Only what was stored before this time; now by default",
      valueHint: "RFC3339",
    },
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const before = readTime("--before", args.before) ?? rfc3339(systemClock.now());
    confirm(`Parameters, plans and outputs stored before ${before} will be gone for good.`, args.yes);
    const done = (await running(args, before)) ?? (await stopped(args, before));
    if (args.json) await printJson({ ok: true, before, payloads: done.payloads, bytes: done.bytes });
    else await printLine(`pruned: ${cell(done.payloads)} payloads, ${cell(done.bytes)} bytes`);
    return 0;
  },
});

type Flags = { readonly dir?: string | undefined; readonly operator?: string | undefined };

/** Through the gate; null when none is running. */
async function running(args: Flags, before: string): Promise<Pruning | null> {
  try {
    const client = await openOperator(surroundings(args));
    const path = "/v1/admin/prune-payloads";
    const { body } = await client.request({ method: "POST", path, body: { before } });
    return body as unknown as Pruning; // the admin api's own answer
  } catch (error) {
    if (error instanceof LatchGateError && error.code === "gate_unreachable") return null;
    throw error;
  }
}

async function stopped(args: Flags, before: string): Promise<Pruning> {
  const project = findProject({ cwd: process.cwd(), env: process.env, dir: args.dir });
  if (project === null || !existsSync(project.dir))
    throw new ClientError("gate_unreachable", "no gate answers, and there is no project folder here");
  note("no gate is running: pruning in its files");
  const [{ withStoppedLedger }, { pruneBefore }] = await Promise.all([
    import("../server/offline.ts"),
    import("../server/prune.ts"),
  ]);
  const wanted = { beforeMs: Date.parse(before), cause: "operator", operator: null } as const;
  return withStoppedLedger(project.dir, (ledger) => pruneBefore(ledger, wanted));
}
