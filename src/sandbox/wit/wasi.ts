/**
 * What a component may have of WASI 0.2: clocks and randomness. Everything else of WASI is refused where a component
 * imports it, and ends the call where a part inside the component calls it.
 */
export const WASI_SERVED = [
  "wasi:clocks/monotonic-clock.now",
  "wasi:clocks/monotonic-clock.resolution",
  "wasi:clocks/wall-clock.now",
  "wasi:clocks/wall-clock.resolution",
  "wasi:random/random.get-random-bytes",
  "wasi:random/random.get-random-u64",
  "wasi:random/insecure.get-insecure-random-bytes",
  "wasi:random/insecure.get-insecure-random-u64",
  "wasi:random/insecure-seed.insecure-seed",
] as const;
export type WasiFunction = (typeof WASI_SERVED)[number];

const INTERFACES = new Set(WASI_SERVED.map((name) => name.slice(0, name.lastIndexOf("."))));

/** `wasi:clocks/wall-clock@0.2.12` → `wasi:clocks/wall-clock`; null for any other name or version. */
export function wasiInterfaceOf(importName: string): string | null {
  const [name = "", version = ""] = importName.split("@");
  return INTERFACES.has(name) && /^0\.2\.\d{1,3}$/.test(version) ? name : null;
}

export function isServed(name: string): name is WasiFunction {
  return (WASI_SERVED as readonly string[]).includes(name);
}
