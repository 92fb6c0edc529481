import { builtinManifests, formatProblem, loadActions, type Registry } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import { StartError } from "./start-error.ts";

/** Every action of the gate; one manifest that is not right keeps it from starting. Throws {@link StartError}. */
export async function readRegistry(config: Config, directory: string): Promise<Registry> {
  const { registry, problems } = await loadActions({
    builtins: builtinManifests(),
    directories: [{ path: directory, origin: "project" }],
    ...(config.actions.only === undefined ? {} : { only: config.actions.only }),
  });
  if (problems.length === 0) return registry;
  throw new StartError(problems[0]?.code ?? "manifest_invalid", problems.map(formatProblem).join("\n"), {
    hint: "correct the manifests; docs/actions.md describes the format",
  });
}
