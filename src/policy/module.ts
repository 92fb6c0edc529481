import * as opaWasm from "@open-policy-agent/opa-wasm";
import { LatchGateError, messageOf } from "../core/errors.ts";

/** A policy that cannot be run: `policy_wasm_invalid`, `policy_digest_mismatch`, `policy_data_too_long`. */
export class PolicyModuleError extends LatchGateError {}

/** The part of the opa-wasm SDK in use; its declarations leave out the default export, which alone is synchronous. */
interface OpaSdk {
  loadPolicySync(wasm: WebAssembly.Module, memory: { initial: number; maximum: number }): OpaInstance;
}

interface OpaInstance {
  readonly mem: WebAssembly.Memory;
  /** Takes JSON as bytes or as a value; gives the result set. Throws text, an Error, or a trap. */
  evaluate(input: ArrayBuffer): unknown;
  setData(data: ArrayBuffer): void;
}

const sdk = (opaWasm as unknown as { readonly default: OpaSdk }).default; // the module's entry re-exports it so

const PAGE = 65_536;
/** 128 MiB: data and one evaluation must fit; an evaluation that needs more fails and denies. */
const MOST_PAGES = 2048;
/** Longest data, in bytes of JSON. */
const LONGEST_DATA = 4_194_304;

/**
 * One compiled policy with its data. An instance is used for every evaluation, as each starts from the same heap
 * mark, and replaced after a failed one, whose state nobody knows.
 */
export class PolicyModule {
  private readonly compiled: WebAssembly.Module;
  private readonly data: Uint8Array<ArrayBuffer>;
  private instance: OpaInstance | null;

  private constructor(compiled: WebAssembly.Module, data: Uint8Array<ArrayBuffer>) {
    this.compiled = compiled;
    this.data = data;
    this.instance = this.start();
  }

  /** Throws {@link PolicyModuleError} when the bytes are not a compiled policy or the data is too long. */
  static async load(wasm: Uint8Array, dataJson: string): Promise<PolicyModule> {
    const data = new TextEncoder().encode(dataJson);
    if (data.byteLength > LONGEST_DATA)
      throw new PolicyModuleError(
        "policy_data_too_long",
        `policy data longer than ${LONGEST_DATA} bytes of json`,
      );
    try {
      const compiled = await WebAssembly.compile(Uint8Array.from(wasm));
      if (!WebAssembly.Module.exports(compiled).some(({ name }) => name === "opa_eval"))
        throw new TypeError("no opa_eval, the entry of OPA's wasm ABI 1.2");
      return new PolicyModule(compiled, data);
    } catch (thrown) {
      throw new PolicyModuleError("policy_wasm_invalid", `not a compiled policy: ${messageOf(thrown)}`, {
        hint: "compile it with `opa build -t wasm -e latchgate/decision`, see docs/policy.md",
        cause: thrown,
      });
    }
  }

  /** The value of the entry point, undefined when no rule gave one. Throws what the module throws. */
  evaluate(json: string): unknown {
    const instance = this.instance ?? this.start();
    // Only back in its place when it came through.
    this.instance = null;
    const results = instance.evaluate(new TextEncoder().encode(json).buffer);
    this.instance = instance;
    if (!Array.isArray(results) || results.length !== 1) return undefined;
    return (results[0] as { result?: unknown } | null)?.result; // the shape of OPA's result set, ABI 1.x
  }

  /** Pages of linear memory in use, of 64 KiB each. */
  get pages(): number {
    return (this.instance?.mem.buffer.byteLength ?? 0) / PAGE;
  }

  private start(): OpaInstance {
    const initial = Math.ceil(this.data.byteLength / PAGE) + 5;
    const instance = sdk.loadPolicySync(this.compiled, { initial, maximum: MOST_PAGES });
    instance.setData(this.data.slice().buffer);
    return instance;
  }
}
