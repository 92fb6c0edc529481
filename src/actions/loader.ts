import { lstat, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { messageOf } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { createAction } from "./action.ts";
import type { LoadProblem, LoadProblemCode } from "./load-problem.ts";
import { type ManifestResult, type ManifestSource, parseManifest } from "./manifest.ts";
import { weakenings } from "./override.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { loadPostgresParser } from "./sql/postgres-parser.ts";
import { LONGEST_MANIFEST } from "./yaml-document.ts";

export interface LoadOptions {
  /** Embedded manifests, see `builtinManifests`. */
  readonly builtins: readonly ManifestSource[];
  /** Folders of the operator; a later one beats an earlier one, all beat the built-ins. A missing one is empty. */
  readonly directories: readonly { readonly path: string; readonly origin: string }[];
  /** The built-in ids to register, as a preset names them; all when absent. Folders are always registered. */
  readonly only?: readonly string[];
  /** 1 when absent. */
  readonly generation?: number;
}

export interface LoadedActions {
  /** Holds what could be loaded. A gate must not start with it while there are problems. */
  readonly registry: Registry;
  /** Every problem of every source, in the order of sources and file names. */
  readonly problems: readonly LoadProblem[];
}

type Loaded = Extract<ManifestResult, { ok: true }> & { readonly source: ManifestSource };

/**
 * Reads all manifests into one registry. A later source replaces a manifest of the same id as a whole; one that is
 * weaker must say why in `override.reason`. Nothing is skipped silently: each file is taken, or has a problem.
 */
export async function loadActions(options: LoadOptions): Promise<LoadedActions> {
  const problems: LoadProblem[] = [];
  const loaded = new Map<string, Loaded>();
  const builtins = takeSource(options.builtins, problems);
  for (const entry of builtins) loaded.set(entry.manifest.id, entry);
  const registered = presetIds(options.only, loaded, problems);
  for (const directory of options.directories) {
    const sources = await readDirectory(directory.path, directory.origin, problems);
    if (sources.some(({ text }) => /^database:/m.test(text))) await loadPostgresParser();
    for (const entry of takeSource(sources, problems)) {
      const id = entry.manifest.id;
      const replaced = loaded.get(id);
      const refusal = overrideProblem(entry, replaced);
      if (refusal !== null) {
        problems.push(refusal);
        continue;
      }
      loaded.set(id, entry);
      registered.add(id);
    }
  }
  const actions = [...loaded.values()]
    .filter((entry) => registered.has(entry.manifest.id))
    .map(({ manifest, digest, source }) => createAction(manifest, digest, source));
  return { registry: createRegistry(actions, options.generation ?? 1), problems };
}

function presetIds(
  only: readonly string[] | undefined,
  builtins: ReadonlyMap<string, Loaded>,
  problems: LoadProblem[],
): Set<string> {
  if (only === undefined) return new Set(builtins.keys());
  for (const id of only) {
    if (builtins.has(id)) continue;
    const near = didYouMean(id, builtins.keys());
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    problems.push(
      problem("unknown_action", "preset", `no built-in action is called ${id.slice(0, 64)}${hint}`),
    );
  }
  return new Set(only);
}

function takeSource(sources: readonly ManifestSource[], problems: LoadProblem[]): Loaded[] {
  const taken = new Map<string, Loaded>();
  for (const source of sources) {
    const result = parseManifest(source);
    if (!result.ok) {
      problems.push(...result.problems);
      continue;
    }
    const id = result.manifest.id;
    const first = taken.get(id);
    if (first === undefined) taken.set(id, { ...result, source });
    else
      problems.push({
        ...problem("duplicate_action", source.file, `the id ${id} is already taken by ${first.source.file}`),
        line: result.line(["id"]),
        path: "id",
      });
  }
  return [...taken.values()];
}

function overrideProblem(entry: Loaded, replaced: Loaded | undefined): LoadProblem | null {
  const { manifest, source, line, digest } = entry;
  if (replaced === undefined || replaced.digest === digest) {
    if (manifest.override === undefined) return null;
    const message = "nothing is overridden: no earlier manifest has this id; remove override";
    return {
      ...problem("manifest_invalid", source.file, message),
      line: line(["override"]),
      path: "override",
    };
  }
  if (manifest.override !== undefined) return null;
  const reasons = weakenings(replaced.manifest, manifest);
  if (reasons.length === 0) return null;
  const message = `overrides ${manifest.id} of ${replaced.source.file} and ${reasons.join("; ")}; say why in override.reason`;
  return { ...problem("override_refused", source.file, message), line: line(["id"]), path: "id" };
}

function problem(code: LoadProblemCode, file: string, message: string): LoadProblem {
  return { code, file, line: null, path: "", message };
}

async function readDirectory(
  path: string,
  origin: string,
  problems: LoadProblem[],
): Promise<ManifestSource[]> {
  let names: string[];
  let home: string;
  try {
    const entry = await lstat(path).catch((cause: unknown) => {
      if (isMissing(cause)) return null;
      throw cause;
    });
    if (entry === null) return [];
    if (entry.isSymbolicLink()) {
      problems.push(problem("path_escape", path, "is a symbolic link; name the folder that it leads to"));
      return [];
    }
    if (!entry.isDirectory()) {
      problems.push(problem("unreadable", path, "is not a folder"));
      return [];
    }
    home = await realpath(path);
    names = (await readdir(path)).filter((name) => /\.ya?ml$/i.test(name)).sort();
  } catch (cause) {
    problems.push(problem("unreadable", path, `cannot be read: ${messageOf(cause)}`));
    return [];
  }
  const sources: ManifestSource[] = [];
  for (const name of names) {
    const file = join(path, name);
    try {
      const real = await realpath(file);
      if (!real.startsWith(home + sep)) {
        problems.push(problem("path_escape", file, "leads out of its folder; copy the file into it"));
        continue;
      }
      const found = await stat(real);
      if (!found.isFile()) problems.push(problem("unreadable", file, "is not a regular file"));
      else if (found.size > LONGEST_MANIFEST)
        problems.push(problem("manifest_invalid", file, `longer than ${LONGEST_MANIFEST} bytes`));
      else sources.push({ file, origin, text: decode(await readFile(real)) });
    } catch (cause) {
      problems.push(problem("unreadable", file, `cannot be read: ${messageOf(cause)}`));
    }
  }
  return sources;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
}
