import { join } from "node:path";
import { findProject } from "../config/project.ts";
import { EndedError, EXIT } from "./exit-code.ts";

/** The ledger file of the project that `--dir` names, or that is found from here. */
export function projectLedger(dir: string | undefined): string {
  const project = findProject({ cwd: process.cwd(), env: process.env, dir });
  if (project === null)
    throw new EndedError(
      EXIT.notFound,
      "project_not_found",
      "there is no project folder here",
      "name a ledger file",
    );
  return join(project.dir, "ledger.db");
}
