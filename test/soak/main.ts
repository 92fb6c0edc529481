/**
 * `npm run soak -- [--rounds 200] [--seed 1]`: kill -9 under load, round after round. Ends with 1, the seed and the round at
 * the first thing that is not as promised.
 */
import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "200" }, seed: { type: "string", default: "1" } },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error("--rounds is a number from 1 on, --seed any whole number");
  process.exit(2);
}
const started = Date.now();
const seconds = () => Math.round((Date.now() - started) / 1000);
let reached = 0;
const ended = (why: string): never => {
  console.error(`broken by round ${reached} of seed ${seed}: ${why}`);
  console.error(`again: npm run soak -- --rounds ${reached + 1} --seed ${seed}`);
  process.exit(1);
};
try {
  const { faults, ...totals } = await soak({
    rounds,
    seed,
    cuts: 12,
    progress: (round) => {
      reached = round;
      if (round % 10 === 0) console.log(`round ${round} of ${rounds}, ${seconds()} s`);
    },
  });
  console.log({ ...totals, seed, seconds: seconds() });
  for (const fault of faults.slice(0, 50)) console.error(fault);
  if (faults.length > 0) ended(`${faults.length} faults`);
  console.log("0 faults");
  process.exit(0);
} catch (error) {
  // A gate that does not start or a call that never ends is as broken as a wrong entry.
  ended(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
