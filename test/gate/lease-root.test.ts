import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { openPolicy, startGate } from "../gate-process.ts";
import { freshKey, send } from "../wire-client.ts";

test("a lease's folder lies below an allowed one as folders do, not as texts do", async () => {
  await using gate = await startGate({ policy: openPolicy(), files: { "src/a.txt": "a" } });
  const sibling = `${gate.root}-evil`;
  mkdirSync(sibling);
  writeFileSync(`${sibling}/b.txt`, "b");
  symlinkSync(sibling, `${gate.root}/link`);
  const { jwk } = await freshKey();
  const ask = (root: string) =>
    send(gate.clientSocket, {
      method: "POST",
      path: "/v1/leases",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ scopes: ["tools:call"], dpop_jwk: jwk, fs_root: root }),
    });
  expect((await ask(gate.root)).body.fs_root).toBe(gate.root);
  expect((await ask(`${gate.root}/src/../src/`)).body.fs_root).toBe(`${gate.root}/src`);
  for (const outside of [sibling, `${gate.root}/link`, `${gate.root}/..`, "/"])
    expect(await ask(outside)).toMatchObject({ status: 403, body: { error: "fs_root_denied" } });
});
