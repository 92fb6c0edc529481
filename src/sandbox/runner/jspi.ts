/** JavaScript Promise Integration, which the declarations of WebAssembly do not know yet. */
interface PromiseIntegration {
  /** A host function that the guest waits for when it returns a promise. */
  readonly Suspending: new (
    call: (...args: readonly unknown[]) => unknown,
  ) => Bun.WebAssembly.ExportValue;
  /** An export as a function whose promise settles when the guest is through. */
  promising(call: Bun.WebAssembly.ExportValue): (...args: readonly number[]) => Promise<unknown>;
}

// The two members are checked before the first use.
const integration = WebAssembly as unknown as Partial<PromiseIntegration>;

export function promiseIntegration(): PromiseIntegration {
  const { Suspending, promising } = integration;
  if (Suspending === undefined || promising === undefined)
    throw new Error("this engine has no javascript promise integration for webassembly");
  return { Suspending, promising };
}
