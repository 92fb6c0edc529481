export { BUILTIN_NAMES, type BuiltinName, loadBuiltins } from "./builtins.ts";
export { ComponentError, type ComponentFault } from "./component/cursor.ts";
export { type ComponentDescription, describeComponent } from "./describe.ts";
export type { RunRequest } from "./execution.ts";
export { type ComponentOrigin, type IngestedComponent, ingestComponent, type Validator } from "./ingest.ts";
export type { CallFacts, FailureStatus, LogLine, RunOutcome } from "./outcome.ts";
export {
  createSandbox,
  type RunnerStats,
  type Sandbox,
  type SandboxOptions,
  type SandboxStats,
} from "./pool.ts";
export { childValidator, RUNNER_COMMAND } from "./validate.ts";
export { worldDeclarations } from "./wit/typescript.ts";
export { INTERFACES, type InterfaceName } from "./wit/world.ts";
