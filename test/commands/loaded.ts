import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { plugin } from "bun";

/** Runs the program and, at its end, writes the list of its own source files that were loaded to stderr. */
const root = `${import.meta.dir}/../..`;
const files: string[] = [];
plugin({
  name: "record what is loaded",
  setup(build) {
    build.onLoad({ filter: /\/(src|node_modules)\/.*\.m?[jt]s$/ }, ({ path }) => {
      files.push(relative(root, path));
      return { contents: readFileSync(path, "utf8"), loader: path.endsWith("ts") ? "ts" : "js" };
    });
  },
});
process.on("exit", () => process.stderr.write(`${JSON.stringify(files)}\n`));
await import("../../src/main.ts");
