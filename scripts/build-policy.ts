/**
 * Compiles the default policy, policies/*.rego, to policies/latchgate.wasm and writes policies/latchgate.digest.json
 * beside it; and the policy that misbehaves for the tests likewise.
 *
 *   node scripts/bun.mjs scripts/build-policy.ts            build and replace
 *   node scripts/bun.mjs scripts/build-policy.ts --check    build elsewhere and compare with what is committed
 *
 * The result depends on the sources, their file names as given to `opa`, and the version of `opa`; not on the folder,
 * the order of the files, the time, the locale or the machine.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { sha256Hex } from "../src/core/bytes.ts";
import { LatchGateError, messageOf } from "../src/core/errors.ts";

export const OPA_VERSION = "1.22.2";
export const INSTALL_OPA = `go install github.com/open-policy-agent/opa@v${OPA_VERSION}`;
const ENTRYPOINT = "latchgate/decision";

/** A folder of Rego files, and the name of what they are compiled to: `<name>.wasm` and `<name>.digest.json`. */
export interface PolicyTarget {
  readonly folder: string;
  readonly name: string;
}

const root = join(import.meta.dir, "..");
export const DEFAULT_POLICY: PolicyTarget = { folder: join(root, "policies"), name: "latchgate" };
export const TARGETS: readonly PolicyTarget[] = [
  DEFAULT_POLICY,
  { folder: join(root, "test/policy/fixtures"), name: "misbehaving" },
];

/** Codes `opa_missing`, `opa_version`, `policy_build_failed`, `policy_differs`. */
export class PolicyBuildError extends LatchGateError {}

export interface PolicyBuild {
  readonly wasm: Uint8Array;
  /** The text of the digest file. */
  readonly digest: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The `opa` program: $LATCHGATE_OPA, else from PATH, else where `go install` puts it; null when there is none. */
export function findOpa(env: Environment): string | null {
  const { LATCHGATE_OPA, PATH, GOBIN, GOPATH, HOME } = env;
  if (LATCHGATE_OPA) return LATCHGATE_OPA;
  const onPath = Bun.which("opa", { PATH: PATH ?? "" });
  if (onPath !== null) return onPath;
  const folders = [GOBIN, GOPATH && join(GOPATH, "bin"), join(HOME ?? homedir(), "go", "bin")];
  return folders.flatMap((folder) => (folder ? [join(folder, "opa")] : [])).find(existsSync) ?? null;
}

/** Compiles the Rego files of a target's folder. Throws {@link PolicyBuildError}. */
export async function buildPolicy(opa: string | null, { folder }: PolicyTarget): Promise<PolicyBuild> {
  if (opa === null || !existsSync(opa))
    throw new PolicyBuildError("opa_missing", "compiling the policy needs opa, which is not there", {
      hint: `install it with: ${INSTALL_OPA}\nor name it in LATCHGATE_OPA`,
    });
  const version = /^Version: (\S+)$/m.exec(run(opa, ["version"], folder))?.[1];
  if (version !== OPA_VERSION)
    throw new PolicyBuildError(
      "opa_version",
      `${opa} is version ${version ?? "unknown"}, not ${OPA_VERSION}`,
      {
        hint: `install it with: ${INSTALL_OPA}`,
      },
    );
  const files = (await readdir(folder)).filter((file) => file.endsWith(".rego")).sort();
  run(opa, ["check", "--strict", ...files], folder);
  const scratch = await mkdtemp(join(tmpdir(), "latchgate-policy-"));
  try {
    const bundle = join(scratch, "bundle.tar.gz");
    // Relative names: opa writes them into the module.
    run(opa, ["build", "--target", "wasm", "--entrypoint", ENTRYPOINT, "--output", bundle, ...files], folder);
    const packed = await new Bun.Archive(await Bun.file(bundle).bytes()).files();
    const compiled = packed.get("/policy.wasm");
    if (compiled === undefined)
      throw new PolicyBuildError("policy_build_failed", "opa's bundle has no policy.wasm");
    const wasm = new Uint8Array(await compiled.arrayBuffer());
    const sources: Record<string, string> = {};
    for (const file of files) sources[file] = sha256Hex(await Bun.file(join(folder, file)).bytes());
    const digest = { entrypoint: ENTRYPOINT, opa: OPA_VERSION, sources, wasm: sha256Hex(wasm) };
    return { wasm, digest: `${JSON.stringify(digest, null, 2)}\n` };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function wasmFile(target: PolicyTarget): string {
  return join(target.folder, `${target.name}.wasm`);
}

function digestFile(target: PolicyTarget): string {
  return join(target.folder, `${target.name}.digest.json`);
}

/** Throws {@link PolicyBuildError} `policy_differs` unless the target's files are what was built. */
export async function comparePolicy(built: PolicyBuild, target: PolicyTarget): Promise<void> {
  const wasm = await Bun.file(wasmFile(target)).bytes();
  const digest = await Bun.file(digestFile(target)).text();
  const different = [
    ...(Buffer.compare(wasm, built.wasm) === 0 ? [] : [wasmFile(target)]),
    ...(digest === built.digest ? [] : [digestFile(target)]),
  ];
  if (different.length > 0)
    throw new PolicyBuildError("policy_differs", `not what the sources compile to: ${different.join(", ")}`, {
      hint: "run scripts/build-policy.ts and commit the result",
    });
}

export async function writePolicy(built: PolicyBuild, target: PolicyTarget): Promise<void> {
  await Bun.write(wasmFile(target), built.wasm);
  await Bun.write(digestFile(target), built.digest);
}

function run(opa: string, args: readonly string[], cwd: string): string {
  const done = Bun.spawnSync([opa, ...args], {
    cwd,
    env: { PATH: "", HOME: tmpdir() },
    stdout: "pipe",
    stderr: "pipe",
  });
  if (done.exitCode !== 0)
    throw new PolicyBuildError(
      "policy_build_failed",
      `opa ${args[0]} failed: ${done.stderr.toString().trim()}`,
    );
  return done.stdout.toString();
}

async function main(args: readonly string[]): Promise<void> {
  const unknown = args.find((arg) => arg !== "--check");
  if (unknown !== undefined)
    throw new PolicyBuildError("usage", `unknown option ${unknown}`, {
      hint: "usage: build-policy.ts [--check]",
    });
  const opa = findOpa(process.env);
  for (const target of TARGETS) {
    const built = await buildPolicy(opa, target);
    if (args.includes("--check")) {
      await comparePolicy(built, target);
      process.stdout.write(`${target.name}.wasm is what its sources compile to\n`);
    } else {
      await writePolicy(built, target);
      process.stdout.write(`wrote ${target.name}.wasm (${built.wasm.byteLength} bytes)\n`);
    }
  }
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (thrown) {
    const hint = thrown instanceof LatchGateError && thrown.hint !== undefined ? `\n${thrown.hint}` : "";
    process.stderr.write(`${messageOf(thrown)}${hint}\n`);
    process.exitCode = 1;
  }
}
