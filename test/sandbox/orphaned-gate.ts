// A gate that dies with a spinning call in a runner and an idle one beside it: prints the runners' process ids, then
// waits to be killed.
import { SPINS } from "./guests.ts";
import { admit, ENDLESS, openSandbox, run } from "./laboratory.ts";

const sandbox = await openSandbox({ runners: 2 });
const spins = await admit(sandbox, SPINS);
void run(sandbox, spins, { limits: ENDLESS, deadline: performance.now() + 600_000 });
const busy = sandbox.stats().runners.find(({ inFlight }) => inFlight === 1);
// The guest spins once the runner's CPU time moves on by itself; the test reads it from /proc.
console.log(JSON.stringify({ busy: busy?.pid, all: sandbox.stats().runners.map(({ pid }) => pid) }));
