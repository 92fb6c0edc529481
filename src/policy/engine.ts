import { sha256Hex } from "../core/bytes.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { messageOf } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { PolicyDecision, PolicyEngine, PolicyInput } from "./contract.ts";
import { parsePolicyData } from "./data.ts";
import { denied, readDecision } from "./decision.ts";
import { encodeInput } from "./input.ts";
import { PolicyModule, PolicyModuleError } from "./module.ts";

export interface PolicySource {
  /** What `opa build -t wasm -e latchgate/decision` made. */
  readonly wasm: Uint8Array;
  /** The content of data.json, not yet checked. */
  readonly data: unknown;
}

/**
 * Makes an engine of a compiled policy and its data. Throws `PolicyDataError` for data, {@link PolicyModuleError}
 * for wasm that does not load or does not deny the canary. An engine is immutable: other data is another engine.
 */
export async function loadPolicy({ wasm, data }: PolicySource): Promise<PolicyEngine> {
  const checked = parsePolicyData(data);
  const json = canonicalJson(checked as unknown as Json); // the schema admits nothing but JSON values
  const digest = sha256Hex(sha256Hex(wasm), sha256Hex(json));
  const version = `${checked.policy_version}+${digest.slice(0, 12)}`;
  const engine = new WasmEngine(await PolicyModule.load(wasm, json), version, checked.policy_version);
  const canary = engine.evaluate(CANARY);
  const fault = canary.reasons.find((reason) => ENGINE_CODES.has(reason.code));
  if (canary.outcome !== "deny" || fault !== undefined)
    throw new PolicyModuleError(
      "policy_wasm_invalid",
      `policy fails its canary: ${fault === undefined ? `it answers ${canary.outcome} to an unregistered action` : `${fault.text} (${fault.rule})`}`,
    );
  return engine;
}

class WasmEngine implements PolicyEngine {
  readonly version: string;
  private readonly module: PolicyModule;
  private readonly dataVersion: string;

  constructor(module: PolicyModule, version: string, dataVersion: string) {
    this.module = module;
    this.version = version;
    this.dataVersion = dataVersion;
  }

  evaluate(input: PolicyInput): PolicyDecision {
    const encoded = encodeInput(input);
    if ("problem" in encoded) return denied("contract_violation", encoded.problem, this.version);
    let answer: unknown;
    try {
      answer = this.module.evaluate(encoded.json);
    } catch (thrown) {
      return denied(
        "engine_unavailable",
        "the policy engine failed",
        this.version,
        `engine: ${messageOf(thrown)}`,
      );
    }
    if (answer === undefined)
      return denied("engine_unavailable", "the policy gave no decision", this.version, "engine: undefined");
    const read = readDecision(answer, input, this.dataVersion);
    if ("problem" in read)
      return denied(
        "contract_violation",
        "the policy's decision breaks its contract",
        this.version,
        read.problem,
      );
    return { ...read.decision, policy_version: this.version };
  }

  /** See `PolicyModule.pages`; for tests and metrics. */
  get pages(): number {
    return this.module.pages;
  }
}

const ENGINE_CODES: ReadonlySet<string> = new Set(["engine_unavailable", "contract_violation"]);

/** A well-formed question to which every policy must say no. */
const CANARY: PolicyInput = {
  principal: "canary",
  tenant: "canary",
  session_id: "canary",
  scopes: [],
  required_scopes: [],
  action: {
    id: "canary",
    version: "0.0.0",
    digest: "sha256:canary",
    risk: "critical",
    effects: ["canary"],
    trust: "not_registered",
    envelope: false,
  },
  plan: { kind: "http", method: "GET", scheme: "https", host: "canary.invalid", port: 443, path: "/" },
  read_back: null,
  secrets: [],
  params: {},
  budget: { calls_remaining: 0 },
  unresolved: { hosts: [], paths: [] },
  approval: null,
  time: "1970-01-01T00:00:00.000Z",
};
