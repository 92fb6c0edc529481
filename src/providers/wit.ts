import wit from "../../providers/wit/provider.wit" with { type: "text" };

export const PROVIDER_WIT: string = wit;

/**
 * The package with a world that imports these interfaces alone (`io-http`), so that a component asks for what its source
 * uses and no more.
 */
export function witImporting(interfaces: ReadonlySet<string>): string {
  return PROVIDER_WIT.replace(/^ {2}import (io-[a-z]+);\n/gm, (line, name: string) =>
    interfaces.has(name) ? line : "",
  );
}
