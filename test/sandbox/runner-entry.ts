// What `latchgate __runner` does, for tests that have no compiled binary.
import { runnerMain } from "../../src/sandbox/runner/main.ts";

await runnerMain(process.argv.slice(3));
