import { ComponentError } from "../component/cursor.ts";

/**
 * What a core module may have at most. The engine has limits of its own, mostly higher; these bound the time that
 * compiling takes, and how far a guest gets between two charges.
 */
export const MODULE_LIMITS = {
  moduleBytes: 16 * 1024 * 1024,
  types: 10_000,
  imports: 1_000,
  functions: 50_000,
  globals: 10_000,
  tables: 16,
  exports: 10_000,
  functionBytes: 512 * 1024,
  /** Of one function, its parameters not counted. */
  locals: 10_000,
  /** Blocks in each other. */
  depth: 4_096,
  /** Instructions between a function's entry or a loop's header and its end, those of inner loops not counted. */
  regionInstructions: 65_536,
} as const;

/** Throws {@link ComponentError} `component_too_large` when there are more. */
export function atMost(limit: keyof typeof MODULE_LIMITS, count: number, what: string): void {
  if (count > MODULE_LIMITS[limit])
    throw new ComponentError(
      "component_too_large",
      `the component has ${count} ${what}; ${MODULE_LIMITS[limit]} are allowed`,
    );
}
