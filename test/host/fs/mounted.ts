/**
 * Run in a mount namespace of its own, with another file system on `src/other` below the root of the first argument: tells
 * as JSON what each operation there comes to, with openat2 and by walking.
 */
import { linuxKernel } from "../../../src/host/fs/kernel.ts";
import { createHost } from "../../../src/host/index.ts";
import { callFor, doorRequest, fsPlan } from "../plans.ts";

const root = process.argv[2] ?? "";
const real = linuxKernel();
const told: Record<string, (string | null)[]> = {};
for (const [way, kernel] of [
  ["openat2", real],
  ["walking", { ...real, openat2: () => -38 }],
] as const) {
  const host = createHost({ fsRoots: [root], testing: { kernel } });
  const errors: (string | null)[] = [];
  for (const changes of [
    { path: "src/a.txt" },
    { path: "src/other/b.txt" },
    { path: "src/other/b.txt", operation: "overwrite", content: Buffer.from("x") },
    { path: "src/other/b.txt", operation: "delete" },
    { path: "src/other/new.txt", operation: "create", content: Buffer.from("x") },
  ] as const) {
    const plan = fsPlan(root, changes);
    const door = host.door(doorRequest(plan));
    const answer = await door.call(callFor(plan));
    errors.push("err" in answer ? answer.err : null);
    await door.close();
  }
  told[way] = errors;
  await host.close();
}
process.stdout.write(JSON.stringify(told));
