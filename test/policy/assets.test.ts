import { describe, expect, test } from "bun:test";
import { chmod, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildPolicy,
  comparePolicy,
  DEFAULT_POLICY as DEFAULT_TARGET,
  findOpa,
  INSTALL_OPA,
  OPA_VERSION,
  TARGETS,
} from "../../scripts/build-policy.ts";
import { sha256Hex } from "../../src/core/bytes.ts";
import { checkPolicyDigest, DEFAULT_POLICY, defaultPolicyWasm } from "../../src/policy/assets.ts";

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "latchgate-policy-test-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("the committed policy", () => {
  test("was compiled from the committed sources, all of them", async () => {
    const sources: Record<string, string> = {};
    for (const file of [...new Bun.Glob("*.rego").scanSync(DEFAULT_TARGET.folder)].sort())
      sources[file] = sha256Hex(await Bun.file(join(DEFAULT_TARGET.folder, file)).bytes());
    expect(DEFAULT_POLICY.sources).toEqual(sources);
    expect(Object.keys(sources)).toContain("latchgate.rego");
  });

  test("is the one that its digest names", async () => {
    expect(sha256Hex(await defaultPolicyWasm())).toBe(DEFAULT_POLICY.wasm);
    expect(DEFAULT_POLICY).toMatchObject({ entrypoint: "latchgate/decision", opa: OPA_VERSION });
  });

  test("is refused with one bit changed", async () => {
    const wasm = (await defaultPolicyWasm()).slice();
    wasm[wasm.length >> 1] = (wasm[wasm.length >> 1] ?? 0) ^ 1;
    expect(() => checkPolicyDigest(wasm)).toThrow("the default policy has digest");
    expect(() => checkPolicyDigest(wasm)).toThrow(
      expect.objectContaining({ code: "policy_digest_mismatch" }),
    );
  });

  test("needs no function of the host: no network, no clock, no environment", async () => {
    const memory = new WebAssembly.Memory({ initial: 5 });
    const unexpected = () => {
      throw new Error("called the host");
    };
    const names = ["opa_abort", "opa_println", ...[0, 1, 2, 3, 4].map((arity) => `opa_builtin${arity}`)];
    const env = { memory, ...Object.fromEntries(names.map((name) => [name, unexpected])) };
    const { instance } = await WebAssembly.instantiate(Uint8Array.from(await defaultPolicyWasm()), { env });
    const call = (name: string, ...args: number[]): number => {
      const exported = instance.exports[name];
      if (typeof exported !== "function") throw new Error(`no export ${name}`);
      return Number(exported(...args));
    };
    const json = Buffer.from(memory.buffer, call("opa_json_dump", call("builtins")));
    expect(json.subarray(0, json.indexOf(0)).toString()).toBe("{}");
  });
});

describe("findOpa", () => {
  test("takes LATCHGATE_OPA first, then PATH, then the folders of go install", () =>
    withFolder(async (folder) => {
      const program = join(folder, "opa");
      await writeFile(program, "");
      await chmod(program, 0o755);
      expect(findOpa({ LATCHGATE_OPA: "/chosen/opa", PATH: folder })).toBe("/chosen/opa");
      expect(findOpa({ PATH: folder, GOBIN: "/elsewhere" })).toBe(program);
      expect(findOpa({ PATH: "", GOBIN: folder })).toBe(program);
      expect(findOpa({ PATH: "", HOME: join(folder, "nobody") })).toBeNull();
    }));
});

describe("buildPolicy", () => {
  test("says how to install opa when it is missing", async () => {
    for (const missing of [null, "/nowhere/opa"])
      await expect(buildPolicy(missing, DEFAULT_TARGET)).rejects.toMatchObject({
        code: "opa_missing",
        hint: expect.stringContaining(INSTALL_OPA),
      });
  });

  test("refuses an opa of another version", () =>
    withFolder(async (folder) => {
      const program = join(folder, "opa");
      await writeFile(program, "#!/bin/sh\necho 'Version: 0.70.0'\n");
      await chmod(program, 0o755);
      await expect(buildPolicy(program, DEFAULT_TARGET)).rejects.toMatchObject({
        code: "opa_version",
        message: `${program} is version 0.70.0, not ${OPA_VERSION}`,
      });
    }));

  test("tells a build that differs from what is committed", async () => {
    const wasm = await defaultPolicyWasm();
    const digest = await Bun.file(join(DEFAULT_TARGET.folder, "latchgate.digest.json")).text();
    await comparePolicy({ wasm, digest }, DEFAULT_TARGET);
    await expect(comparePolicy({ wasm: wasm.slice(1), digest }, DEFAULT_TARGET)).rejects.toThrow(
      "latchgate.wasm",
    );
    await expect(comparePolicy({ wasm, digest: `${digest}\n` }, DEFAULT_TARGET)).rejects.toThrow(
      "digest.json",
    );
  });

  const opa = findOpa(process.env);
  const required = process.env.LATCHGATE_TEST_REQUIRE === "all";
  for (const target of TARGETS)
    test.skipIf(opa === null && !required)(
      `compiles ${target.name} to the committed bytes, from any folder (needs opa: ${INSTALL_OPA})`,
      () =>
        withFolder(async (folder) => {
          const built = await buildPolicy(opa, target);
          await comparePolicy(built, target);
          for (const file of new Bun.Glob("*.rego").scanSync(target.folder))
            await cp(join(target.folder, file), join(folder, file));
          const elsewhere = await buildPolicy(opa, { ...target, folder });
          expect(elsewhere.digest).toBe(built.digest);
        }),
    );
});
