import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const SRC = join(import.meta.dir, "../src");

/** The rooms that the gate puts together; none of them knows another. */
const FLOOR = [
  "identity",
  "actions",
  "policy",
  "approvals",
  "budgets",
  "sandbox",
  "providers",
  "host",
  "secrets",
  "ledger",
];

/** The rooms that each room may import, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  keys: ["core"],
  config: ["core"],
  ...Object.fromEntries(FLOOR.map((room) => [room, ["keys", "core"]])),
  client: ["core", "keys", "config"],
  gate: [...FLOOR, "keys", "core", "config"],
  server: ["gate", ...FLOOR, "keys", "core", "config"],
  commands: ["server", "gate", ...FLOOR, "client", "keys", "core", "config"],
};

/** What the verifier, which must stand alone with files and no network, may import of the ledger's own. */
const VERIFIER =
  /^ledger\/(?:verify\/|entry\/|anchor\/cosignature\.ts$|anchor\/timestamp\/(?:authority|stamped|token|query)\.ts$|tree\.ts$|checkpoint\.ts$|key-rotation\.ts$|key-revocation\.ts$|proof\/|errors\.ts$)/;

interface Import {
  /** Both relative to `src`. */
  readonly from: string;
  readonly to: string;
  /** Erased when compiled. */
  readonly typeOnly: boolean;
}

interface Source {
  readonly path: string;
  readonly text: string;
}

function* sourcesBelow(folder: string): Generator<Source> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sourcesBelow(path);
    else if (path.endsWith(".ts")) yield { path: relative(SRC, path), text: readFileSync(path, "utf8") };
  }
}

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Relative imports of a file; those that only name types are told from the others by the compiler itself. */
function importsOf({ path, text }: Source): Import[] {
  const target = (specifier: string) => relative(SRC, resolve(SRC, dirname(path), specifier));
  const kept = new Set(transpiler.scanImports(text).map(({ path: specifier }) => specifier));
  // Statements only: a specifier in a comment or a string is none.
  const statements = text.matchAll(
    /^(?:import|export)\b[^;"']*?\bfrom\s*"(\.[^"]+)"|^import\s*"(\.[^"]+)"/gms,
  );
  const dynamic = text.matchAll(/\bimport\(\s*"(\.[^"]+)"\s*\)/g);
  const specifiers = new Set([
    ...[...statements].map((match) => match[1] ?? match[2] ?? ""),
    ...[...dynamic].map((match) => match[1] ?? ""),
    ...[...kept].filter((specifier) => specifier.startsWith(".")),
  ]);
  return [...specifiers].map((specifier) => ({
    from: path,
    to: target(specifier),
    typeOnly: !kept.has(specifier),
  }));
}

const roomOf = (path: string) => (path.includes("/") ? (path.split("/")[0] ?? "") : "");

/** What is wrong with an import, by the plan of the house; null when nothing is. */
function violation({ from, to, typeOnly }: Import): string | null {
  const [room, other] = [roomOf(from), roomOf(to)];
  const told = `${from} imports ${to}`;
  if (to.startsWith("..")) {
    const asset = /^\.\.\/(?:policies|providers|package\.json)/.test(to);
    return asset ? null : `${told}, outside of src`;
  }
  if (from === "main.ts") return null;
  if (to === "main.ts") return `${told}: nothing imports the entry`;
  if (to.startsWith("sandbox/runner/") && !from.startsWith("sandbox/runner/") && !typeOnly)
    return `${told}: the runner runs in a process of its own and is started by main.ts alone`;
  if (from.startsWith("ledger/verify/") && room === other && !VERIFIER.test(to))
    return `${told}: the verifier stands alone`;
  if (room === other) return null;
  const allowed = MAY_IMPORT[room];
  if (allowed === undefined) return `${told}: ${room} is not a room of the plan`;
  return allowed.includes(other) ? null : `${told}: ${room} may not import ${other}`;
}

/** Where effects are made possible, and where one happens. */
const PLACES: readonly (readonly [what: string, pattern: RegExp, only: readonly string[]])[] = [
  ["run a component", /\bsandbox\s*\.\s*run\s*\(/, ["gate/dispatch.ts"]],
  ["open a host's door", /\bhost\s*\.\s*door\s*\(/, ["gate/dispatch.ts"]],
  ["create a sandbox", /(?<!function )\bcreateSandbox\s*\(/, ["server/runners.ts"]],
  ["create a host", /(?<!function )\bcreateHost\s*\(/, ["server/egress.ts"]],
  ["dispatch", /(?<!function )\bdispatch\(gate\b/, ["gate/perform.ts"]],
  ["open the secrets file", /(?<!function )\bcreateSecretSource\s*\(/, ["server/secrets.ts"]],
  ["perform", /(?<!function )\bperform\(gate\b/, ["gate/pipeline.ts", "gate/approve.ts"]],
];

function misplaced({ path, text }: Source): string[] {
  return PLACES.filter(([, pattern, only]) => pattern.test(text) && !only.includes(path)).map(
    ([what, , only]) => `${path} may not ${what}; only ${only.join(" and ")} may`,
  );
}

const sources = [...sourcesBelow(SRC)];
const imports = sources.flatMap(importsOf);

describe("the plan of the house", () => {
  test("every import goes down, to a room that its room may know", () => {
    expect(imports.flatMap((one) => violation(one) ?? [])).toEqual([]);
  });

  test("every relative import has its extension and leads to a file", () => {
    const lost = imports.filter(({ to }) => !to.startsWith("..") && !existsSync(join(SRC, to)));
    expect(lost).toEqual([]);
  });

  test("effects happen in one place, reached by two ways", () => {
    expect(sources.flatMap(misplaced)).toEqual([]);
    for (const [what, pattern, only] of PLACES)
      for (const path of only) {
        const text = sources.find((source) => source.path === path)?.text ?? "";
        // A pattern that finds nothing any more would hold nothing.
        expect([what, path, pattern.test(text)]).toEqual([what, path, true]);
      }
  });

  test("no import runs in a circle between rooms", () => {
    const below = (room: string, seen: ReadonlySet<string> = new Set()): boolean =>
      seen.has(room) || (MAY_IMPORT[room] ?? []).some((other) => below(other, new Set([...seen, room])));
    expect(Object.keys(MAY_IMPORT).filter((room) => below(room))).toEqual([]);
  });

  test("every folder of src is a room of the plan", () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(MAY_IMPORT).sort());
  });
});

describe("a violation would be seen", () => {
  const found = (path: string, text: string) =>
    importsOf({ path, text }).flatMap((one) => violation(one) ?? []).length +
    misplaced({ path, text }).length;

  test.each([
    ["core/x.ts", 'import { a } from "../keys/jwk.ts";\na();'],
    ["keys/x.ts", 'import { a } from "../ledger/tree.ts";\na();'],
    ["host/x.ts", 'import { a } from "../sandbox/index.ts";\na();'],
    ["host/x.ts", 'import type { A } from "../sandbox/index.ts";\nexport type B = A;'],
    ["host/x.ts", 'import {\n  a,\n  type B,\n} from "../policy/engine.ts";\na();'],
    ["identity/x.ts", 'export * from "../gate/call.ts";'],
    ["gate/x.ts", 'import { a } from "../server/start.ts";\na();'],
    ["gate/x.ts", 'const a = await import("../commands/table.ts");\na();'],
    ["client/x.ts", 'import { a } from "../gate/pipeline.ts";\na();'],
    ["client/x.ts", 'import "../ledger/writer.ts";'],
    ["server/x.ts", 'import { a } from "../client/index.ts";\na();'],
    ["server/x.ts", 'import { a } from "../sandbox/runner/main.ts";\na();'],
    ["sandbox/x.ts", 'const a = await import("./runner/main.ts");\na();'],
    ["ledger/verify/x.ts", 'import { a } from "../writer.ts";\na();'],
    ["ledger/verify/x.ts", 'import { a } from "../store/payloads.ts";\na();'],
    ["helpers/x.ts", 'import { a } from "../core/json.ts";\na();'],
    ["core/x.ts", 'import { a } from "../../test/gate-process.ts";\na();'],
    ["core/x.ts", 'import { a } from "../main.ts";\na();'],
    ["gate/x.ts", "await gate.sandbox.run({ digest });"],
    ["server/routes/x.ts", "const door = gate.host.door(request);"],
    ["commands/x.ts", "const host = createHost(options);"],
    ["gate/x.ts", "await dispatch(gate, granted);"],
    ["host/x.ts", 'import { a } from "../secrets/source.ts";\na();'],
    ["secrets/x.ts", 'import { a } from "../host/index.ts";\na();'],
    ["gate/x.ts", "const secrets = createSecretSource(options);"],
  ])("in %s: %s", (path, text) => expect(found(path, text)).toBeGreaterThan(0));

  test.each([
    ["gate/x.ts", 'import { a } from "../ledger/reader.ts";\na();'],
    ["ledger/verify/x.ts", 'import { a } from "../tree.ts";\na();'],
    ["host/x.ts", '// import { a } from "../sandbox/index.ts";\nconst text = "../gate/call.ts";'],
    ["policy/x.ts", 'import wasm from "../../policies/latchgate.wasm" with { type: "file" };\nwasm;'],
  ])("and what is allowed is not: %s: %s", (path, text) => expect(found(path, text)).toBe(0));
});
