/** `npm run fuzz -- [--inputs N] [--seed S]`: mutated components against ingest and a runner; 10,000 by default. */
import { parseArgs } from "node:util";
import { fuzzComponents } from "./components.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { inputs: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } },
});
const [inputs, seed] = [Number(values.inputs), Number(values.seed)];
if (!Number.isSafeInteger(inputs) || inputs < 1 || !Number.isSafeInteger(seed))
  throw new Error("--inputs and --seed are whole numbers");
const started = performance.now();
const { ends, lost } = await fuzzComponents(inputs, seed);
for (const [end, count] of [...ends].sort(([, a], [, b]) => b - a))
  console.log(`${String(count).padStart(7)}  ${end}`);
console.log(
  `${inputs} inputs of seed ${seed} in ${Math.round((performance.now() - started) / 1000)} s, ${lost} runners lost`,
);
