import type { Json } from "../core/json.ts";
import type { ComponentDescription } from "../sandbox/index.ts";
import { fields } from "./output.ts";
import { loadProject } from "./project.ts";

/** The store of the project's components. */
export async function openStore(dir: string | undefined) {
  const { ProviderStore } = await import("../providers/store.ts");
  const { projectPaths } = await import("../server/project-paths.ts");
  const project = loadProject(dir);
  const paths = projectPaths(project.dir);
  const allowUnlocked = project.config.sandbox.unsafe_unlocked;
  return { store: new ProviderStore(paths.providers), actions: paths.actions, allowUnlocked };
}

/**
 * Passes a component through every check that the gate makes: its structure here, by a reader that is bounded; its
 * validity in a locked process of its own, unlocked only where the project's configuration allows that. Throws `ComponentError`.
 */
export async function examine(bytes: Uint8Array, allowUnlocked = false): Promise<ComponentDescription> {
  const { sha256Hex } = await import("../core/bytes.ts");
  const { selfCommand } = await import("../core/self.ts");
  const { childValidator, describeComponent, ingestComponent } = await import("../sandbox/index.ts");
  const pin = `sha256:${sha256Hex(bytes)}`;
  const validate = childValidator({ self: selfCommand, allowUnlocked });
  return describeComponent(await ingestComponent({ bytes, pin, origin: "operator", validate }));
}

export function describedText(described: ComponentDescription, size: number): string {
  return fields([
    ["digest", described.digest],
    ["size", `${size} bytes`],
    ["imports", described.imports.join(", ") || "nothing"],
    ["wasi", described.wasi.join(", ") || "nothing"],
    ["exports", described.exports.join(", ")],
    ["core modules", described.modules],
    ["metered", `${described.meteredBytes} bytes`],
    ["memory", memoryText(described)],
    [
      "tables",
      described.tables.map(({ start, most }) => `${start} to ${most} elements`).join(", ") || "none",
    ],
  ]);
}

function memoryText({ memory }: ComponentDescription): string {
  if (memory === null) return "none";
  return `${memory.startPages} pages of 64 KiB, up to ${memory.mostPages} as far as the action's memory_mb goes`;
}

export function describedJson(described: ComponentDescription, size: number): { [name: string]: Json } {
  const { memory, tables, meteredBytes, modules } = described;
  return {
    digest: described.digest,
    bytes: size,
    imports: [...described.imports],
    wasi: [...described.wasi],
    exports: [...described.exports],
    core_modules: modules,
    metered_bytes: meteredBytes,
    memory: memory === null ? null : { start_pages: memory.startPages, most_pages: memory.mostPages },
    tables: tables.map(({ start, most }) => ({ start, most })),
  };
}
