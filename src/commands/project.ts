import { ClientError } from "../client/errors.ts";
import { loadConfig } from "../config/load.ts";
import { findProject } from "../config/project.ts";
import type { Config } from "../config/schema.ts";
import { projectPaths } from "../server/project-paths.ts";

/** The project of a command that works on its files, and its configuration. */
export function loadProject(dir: string | undefined): { readonly dir: string; readonly config: Config } {
  const project = findProject({ cwd: process.cwd(), env: process.env, dir });
  if (project === null)
    throw new ClientError("project_not_found", "there is no project folder here", {
      hint: "name one with --dir, or make one with latchgate serve",
    });
  return { dir: project.dir, config: loadConfig(projectPaths(project.dir).config, process.env) };
}
