import { afterAll, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHost, HostSetupError } from "../../../src/host/index.ts";
import { callFor, doorRequest, fsPlan } from "../plans.ts";

const top = realpathSync(mkdtempSync(join(tmpdir(), "roots-")));
afterAll(() => rmSync(top, { recursive: true }));
mkdirSync(join(top, "real/sub"), { recursive: true });
symlinkSync(join(top, "real"), join(top, "link"));
writeFileSync(join(top, "file"), "");

const REFUSED: readonly (readonly [path: string, message: string])[] = [
  ["real", "a file root must be an absolute path"],
  ["/", "a file root cannot be a system folder"],
  ["/etc", "a file root cannot be a system folder"],
  ["/proc/self", "a file root cannot be a system folder"],
  [join(top, "missing"), "a file root cannot be opened; it must be an existing folder"],
  [join(top, "file"), "a file root cannot be opened; it must be an existing folder"],
  [join(top, "link"), "a file root must be written as its real path"],
  [join(top, "link/sub"), "a file root must be written as its real path"],
  [`${top}/real/`, "a file root must be written as its real path"],
  [`${top}/real/../real`, "a file root must be written as its real path"],
];
for (const [path, message] of REFUSED)
  test(`${path.replace(top, "…")}: ${message}`, () => {
    const make = () => createHost({ fsRoots: [path] });
    expect(make).toThrow(HostSetupError);
    expect(make).toThrow(message);
  });

async function read(host: ReturnType<typeof createHost>, root: string) {
  const door = host.door(doorRequest(fsPlan(root, { path: "a.txt" })));
  const answer = await door.call(callFor(fsPlan(root, { path: "a.txt" })));
  await door.close();
  return "err" in answer ? answer.err : "ok";
}

test("a plan may only name a root of the gate", async () => {
  writeFileSync(join(top, "real/a.txt"), "a");
  const host = createHost({ fsRoots: [join(top, "real")] });
  expect(await read(host, join(top, "real"))).toBe("ok");
  for (const other of [top, join(top, "real/sub"), `${top}/real/`, "/"])
    expect([other, await read(host, other)]).toEqual([other, "path_not_allowed"]);
  await host.close();
});

test("a root that was moved, or replaced by a link, is no root any more", async () => {
  const root = join(top, "moving");
  mkdirSync(root);
  writeFileSync(join(root, "a.txt"), "a");
  const host = createHost({ fsRoots: [root] });
  expect(await read(host, root)).toBe("ok");
  renameSync(root, join(top, "moved"));
  expect(await read(host, root)).toBe("path_not_found");
  symlinkSync(join(top, "moved"), root);
  expect(await read(host, root)).toBe("path_not_found");
  await host.close();
});
