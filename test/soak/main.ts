/** `npm run soak -- [--rounds 200] [--seed 1]`: kill -9 under load, round after round. Ends with 1 when anything broke. */
import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "200" }, seed: { type: "string", default: "1" } },
});
const started = Date.now();
const report = await soak({
  rounds: Number(values.rounds),
  seed: Number(values.seed),
  cuts: 12,
  progress: (round) => {
    if (round % 10 === 0) console.log(`round ${round}`);
  },
});
const { faults, ...totals } = report;
console.log({ ...totals, seconds: Math.round((Date.now() - started) / 1000) });
for (const fault of faults.slice(0, 50)) console.error(fault);
console.log(`${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
