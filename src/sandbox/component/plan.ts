/** How the core modules of one component are instantiated and joined. Plain data, so that it crosses to a runner. */
export interface LinkPlan {
  readonly steps: readonly LinkStep[];
  readonly execute: CoreExport;
  readonly memory: CoreExport;
  readonly realloc: CoreExport;
}

/** Makes the next core instance; instances are numbered by the steps that make them. */
export interface LinkStep {
  /** Which core module. */
  readonly module: number;
  readonly imports: readonly NamespaceImport[];
}

export type NamespaceImport =
  | { readonly namespace: string; readonly instance: number }
  | {
      readonly namespace: string;
      readonly members: readonly (readonly [name: string, source: CoreSource])[];
    };

export interface CoreExport {
  readonly instance: number;
  readonly name: string;
}

export type CoreSource =
  | { readonly from: "instance"; readonly export: CoreExport }
  | {
      readonly from: "host";
      /** `interface.function` of the world. */
      readonly function: string;
      readonly memory: CoreExport;
      readonly realloc: CoreExport | null;
    }
  | {
      readonly from: "wasi";
      /** A clock or a source of randomness; see wit/wasi.ts. */
      readonly function: string;
      readonly memory: CoreExport | null;
      readonly realloc: CoreExport | null;
    }
  /** Is there for the link only: a call of it ends the run. */
  | { readonly from: "denied"; readonly name: string };
