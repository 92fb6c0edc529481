import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Manifests of a folder that hold a digest, wherever in them; none when there is no folder. */
export function filesNaming(folder: string, digest: string): readonly string[] {
  let entries: string[];
  try {
    entries = readdirSync(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw cause;
  }
  return entries
    .filter((name) => /\.ya?ml$/.test(name))
    .map((name) => join(folder, name))
    .filter((path) => readFileSync(path, "utf8").includes(digest));
}
