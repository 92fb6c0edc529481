import { sha256Hex } from "../core/bytes.ts";
import { boundCore, checkMemories } from "./component/bounds.ts";
import { ComponentError, unsupported } from "./component/cursor.ts";
import type { LinkPlan } from "./component/plan.ts";
import { readComponent } from "./component/reader.ts";
import { withoutShims } from "./component/shims.ts";
import { METER_NAMESPACE } from "./meter/additions.ts";
import { meterModule } from "./meter/meter.ts";
import type { InterfaceName } from "./wit/world.ts";

/** Built-in components may share a runner; one that an operator brought has runners of its own. */
export type ComponentOrigin = "builtin" | "operator";

/** A component that has passed every check. Nothing else makes one. */
export interface IngestedComponent {
  /** `sha256:` and 64 digits of lower-case hex, of the component as it was given. */
  readonly digest: string;
  readonly origin: ComponentOrigin;
  /** Its core modules, metered. */
  readonly cores: readonly Uint8Array[];
  readonly plan: LinkPlan;
  /** Interfaces of the world that it imports, such as `io-http`. */
  readonly imports: readonly InterfaceName[];
}

/** Resolves for a valid component, throws `ComponentError` `component_invalid` for any other. */
export type Validator = (bytes: Uint8Array) => Promise<void>;

export interface IngestOptions {
  readonly bytes: Uint8Array;
  /** `sha256:<hex>`, from a manifest or from the gate's own pins. */
  readonly pin: string;
  readonly origin: ComponentOrigin;
  /** Full validation; null only for bytes whose pin the build itself made after validating them. */
  readonly validate: Validator | null;
}

/** Of a memory of 32 bits; each call has a lower limit of its own. */
const MOST_PAGES = 65_536;
const LARGEST = 32 * 1024 * 1024;

/**
 * Checks a component: its digest before anything else is looked at, then its structure against the world, then its
 * validity as a whole; then its core modules are metered. Throws {@link ComponentError}.
 */
export async function ingestComponent(options: IngestOptions): Promise<IngestedComponent> {
  // Copied first: what was checked is what runs, whatever the caller does with its buffer.
  const bytes = options.bytes.slice();
  const digest = `sha256:${sha256Hex(bytes)}`;
  if (digest !== options.pin)
    throw new ComponentError("component_digest_mismatch", "the component is not the one that is pinned", {
      hint: `its digest is ${digest}; pin that digest if this component is the one you mean`,
    });
  if (bytes.byteLength > LARGEST)
    throw new ComponentError("component_too_large", `the component is larger than ${LARGEST} bytes`);
  const { imports, ...read } = readComponent(bytes);
  checkMemories(read.cores, read.plan.steps);
  // A component may give its modules more than they import: never a meter of its own.
  if (
    read.plan.steps.some((step) =>
      step.imports.some(({ namespace }) => namespace.startsWith(METER_NAMESPACE)),
    )
  )
    throw unsupported("the namespace of the meter");
  if (options.validate !== null) await options.validate(bytes);
  const { cores, plan } = withoutShims(read);
  const metered = cores.map((core) => meterModule(boundCore(core, { memoryPages: MOST_PAGES })));
  return { digest, origin: options.origin, cores: metered, plan, imports };
}
