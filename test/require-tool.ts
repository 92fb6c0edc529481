import { test } from "bun:test";

/** Whether a missing tool fails its tests instead of skipping them, as continuous integration wants. */
const required = process.env.LATCHGATE_TEST_REQUIRE === "all";

/**
 * `test` for what needs a program that a fresh machine may lack: runs when it is there; otherwise is skipped under a
 * name that says how to get it, or fails when `LATCHGATE_TEST_REQUIRE=all`.
 */
export function requireTool(
  program: string,
  install: string,
): (name: string, body: () => void | Promise<void>, timeoutMs?: number) => void {
  if (Bun.which(program) !== null) return (name, body, timeoutMs) => test(name, body, timeoutMs);
  return (name) => {
    const named = `${name} (needs ${program}: ${install})`;
    if (!required) test.skip(named, () => undefined);
    else
      test(named, () => {
        throw new Error(`${program} is missing; install it with: ${install}`);
      });
  };
}
