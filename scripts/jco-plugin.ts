import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BunPlugin } from "bun";

/**
 * Lets jco's component reader run inside a compiled binary: its core modules, which it looks for beside its own
 * source, become embedded files, and its WASI comes from the shim that keeps everything in memory, not from the one
 * that starts a worker and opens real files.
 */
export const jcoPlugin: BunPlugin = {
  name: "jco",
  setup(build) {
    build.onLoad({ filter: /[\\/]jco-transpile[\\/]vendor[\\/][\w-]+\.js$/ }, ({ path }) => {
      const imports: string[] = [];
      const source = readFileSync(path, "utf8").replace(
        /new URL\('(\.\/[\w.-]+\.wasm)', import\.meta\.url\)/g,
        (_, file: string) => {
          const name = `embedded_core_${imports.length}`;
          imports.push(`import ${name} from ${JSON.stringify(file)} with { type: "file" };`);
          return name;
        },
      );
      if (imports.length === 0)
        throw new Error(
          `${path} loads its core modules in another way than this plug-in knows; read it and adapt`,
        );
      return { contents: `${imports.join("\n")}\n${source}`, loader: "js" };
    });
    build.onResolve({ filter: /^@bytecodealliance\/preview2-shim\/[a-z]+$/ }, ({ path, importer }) => {
      const shim = dirname(
        Bun.resolveSync("@bytecodealliance/preview2-shim/package.json", dirname(importer)),
      );
      return { path: join(shim, "dist", "browser", `${path.slice(path.lastIndexOf("/") + 1)}.js`) };
    });
  },
};
