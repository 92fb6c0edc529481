import { describe, expect, test } from "bun:test";
import { defaultPolicyWasm } from "../../src/policy/assets.ts";
import type { PolicyDecision, PolicyInput } from "../../src/policy/contract.ts";
import { parsePolicyData } from "../../src/policy/data.ts";
import { readDecision } from "../../src/policy/decision.ts";
import { loadPolicy } from "../../src/policy/engine.ts";
import { PolicyModule } from "../../src/policy/module.ts";
import { caseFiles, documentsOf, type PolicyCase } from "./case-files.ts";

const wasm = await defaultPolicyWasm();

function expectDecision(decision: PolicyDecision, wanted: PolicyCase): void {
  expect({ outcome: decision.outcome, codes: decision.reasons.map((reason) => reason.code) }).toEqual({
    outcome: wanted.outcome,
    codes: wanted.codes,
  });
  const texts = decision.reasons.map((reason) => reason.text).join("\n");
  for (const fragment of wanted.text) expect(texts).toContain(fragment);
  if (wanted.granted !== undefined) expect(decision.granted).toEqual(wanted.granted);
  if (wanted.quorum !== undefined) expect(decision.obligations.quorum).toBe(wanted.quorum);
}

for (const { file, cases } of caseFiles()) {
  describe(`policies/cases/${file}`, () => {
    for (const one of cases) {
      test(`the policy itself: ${one.name}`, async () => {
        const { input, data } = documentsOf(one);
        const module = await PolicyModule.load(wasm, JSON.stringify(data));
        const answer = module.evaluate(JSON.stringify(input));
        expectDecision(answer as PolicyDecision, one); // what else it is fails below
        // Data that would be refused at load can make a hold malformed; a denial never is.
        if (one.data_problem === undefined || one.outcome === "deny")
          expect(readDecision(answer, input as PolicyInput, "cases-1")).toHaveProperty("decision");
      });

      if (one.data_problem === undefined)
        test(`through the engine: ${one.name}`, async () => {
          const { input, data } = documentsOf(one);
          const engine = await loadPolicy({ wasm, data });
          const decision = engine.evaluate(input as PolicyInput); // a case may break the contract on purpose
          expectDecision(decision, one);
          expect(decision.policy_version).toBe(engine.version);
        });
      else
        test(`data refused at load: ${one.name}`, () => {
          const { data } = documentsOf(one);
          expect(() => parsePolicyData(data)).toThrow(one.data_problem);
        });
    }
  });
}

test("the cases are all there", () => {
  const names = caseFiles().flatMap(({ file, cases }) => cases.map((one) => `${file}: ${one.name}`));
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(250);
});
