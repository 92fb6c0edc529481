import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import type { CoreSource, LinkPlan } from "../../../src/sandbox/component/plan.ts";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { withoutShims } from "../../../src/sandbox/component/shims.ts";

const PROVIDERS = join(import.meta.dir, "../../../providers");

const SHIM = {
  types: "(type $t (func (param i32 i32)))",
  first: "local.get 0 local.get 1 i32.const 0 call_indirect (type $t)",
  table: '(table (export "$imports") 2 2 funcref)',
  more: "",
};
const FILLER = {
  types: "(type $t (func (param i32 i32)))",
  imports:
    '(import "" "0" (func (type $t))) (import "" "1" (func (type $t))) (import "" "$imports" (table 2 2 funcref))',
  elements: "(elem (i32.const 0) func 0 1)",
  more: "",
};
const MAIN = `(module (import "io" "a" (func (param i32 i32))) (import "io" "b" (func (param i32 i32)))
  (memory (export "memory") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "execute") (param i32 i32) (result i32) unreachable))`;

const MEMORY = { instance: 1, name: "memory" };
const REALLOC = { instance: 1, name: "realloc" };
const LOG: CoreSource = { from: "host", function: "io-log.log-info", memory: MEMORY, realloc: null };
const DENIED: CoreSource = { from: "denied", name: "b" };

function shimExport(name: string): CoreSource {
  return { from: "instance", export: { instance: 0, name } };
}

interface Change {
  readonly shim?: Partial<typeof SHIM>;
  readonly filler?: Partial<typeof FILLER>;
  /** What the filler is given for its imports. */
  readonly given?: Readonly<Record<string, CoreSource>>;
  readonly plan?: (plan: LinkPlan) => LinkPlan;
}

/** A main module that gets two functions of the host by a shim, as makers of components do it, with changes. */
async function linked(change: Change) {
  const shim = { ...SHIM, ...change.shim };
  const filler = { ...FILLER, ...change.filler };
  const modules = [
    `(module ${shim.types} ${shim.table} (func (export "0") (type $t) ${shim.first})
       (func (export "1") (type $t) local.get 0 local.get 1 i32.const 1 call_indirect (type $t)) ${shim.more})`,
    MAIN,
    `(module ${filler.types} ${filler.imports} ${filler.elements} ${filler.more})`,
  ];
  const given = { "0": LOG, "1": DENIED, $imports: shimExport("$imports"), ...change.given };
  const plan: LinkPlan = {
    steps: [
      { module: 0, imports: [] },
      {
        module: 1,
        imports: [
          { namespace: "io", members: [["a", shimExport("0")] as const, ["b", shimExport("1")] as const] },
        ],
      },
      { module: 2, imports: [{ namespace: "", members: Object.entries(given) }] },
    ],
    execute: { instance: 1, name: "execute" },
    memory: MEMORY,
    realloc: REALLOC,
  };
  const cores = await Promise.all(modules.map(async (text) => new Uint8Array(await parse(text))));
  return { cores, plan: change.plan?.(plan) ?? plan };
}

describe("a component without its shims", () => {
  let asMade: Awaited<ReturnType<typeof linked>>;
  beforeAll(async () => {
    asMade = await linked({});
  });

  test("has the host's functions where the shim's were", () => {
    const { cores, plan } = withoutShims(asMade);
    expect(cores).toEqual(asMade.cores.slice(1, 2));
    const memory = { instance: 0, name: "memory" };
    expect(plan).toEqual({
      steps: [
        {
          module: 0,
          imports: [
            {
              namespace: "io",
              members: [
                ["a", { from: "host", function: "io-log.log-info", memory, realloc: null }],
                ["b", DENIED],
              ],
            },
          ],
        },
      ],
      execute: { instance: 0, name: "execute" },
      memory,
      realloc: { instance: 0, name: "realloc" },
    });
  });

  test.each(
    readdirSync(PROVIDERS, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".wasm")),
  )("%s is one module", (name) => {
    const { cores, plan } = withoutShims(readComponent(readFileSync(join(PROVIDERS, name))));
    expect([cores.length, plan.steps.length]).toEqual([1, 1]);
  });

  const otherType = "(type $t (func (param i32 i32))) (type $u (func (param i32 i64)))";
  test.each<readonly [string, Change]>([
    [
      "calls a slot with other arguments",
      { shim: { first: "local.get 1 local.get 0 i32.const 0 call_indirect (type $t)" } },
    ],
    ["does something besides", { shim: { first: `nop ${SHIM.first}` } }],
    ["does something after", { shim: { first: `${SHIM.first} nop` } }],
    ["has a local", { shim: { first: `(local i32) ${SHIM.first}` } }],
    [
      "calls a slot as another type",
      { shim: { types: otherType, first: "local.get 0 i64.const 0 i32.const 0 call_indirect (type $u)" } },
    ],
    ["has a memory", { shim: { more: "(memory 1)" } }],
    ["has a global", { shim: { more: "(global i32 (i32.const 0))" } }],
    ["has a start function", { shim: { more: "(func $s) (start $s)" } }],
    ["fills its table itself", { shim: { more: "(elem (i32.const 0) func 1)" } }],
    ["has two tables", { shim: { more: '(table (export "other") 1 funcref)' } }],
    ["calls a slot that nobody fills", { filler: { elements: "(elem (i32.const 0) func 0)" } }],
    [
      "calls a slot that has another type",
      { filler: { types: otherType, imports: FILLER.imports.replace("(type $t)", "(type $u)") } },
    ],
    ["is filled by a module that starts", { filler: { more: "(func $s) (start $s)" } }],
    [
      "is filled by a module that puts its own function there",
      { filler: { elements: "(elem (i32.const 0) func 0 2)", more: "(func (type $t))" } },
    ],
    [
      "is filled where a global says",
      {
        filler: {
          imports: `${FILLER.imports} (import "" "g" (global i32))`,
          elements: "(elem (global.get 0) func 0 1)",
        },
        given: { g: shimExport("g") },
      },
    ],
    [
      "leads to another module's function",
      { given: { "0": { from: "instance", export: { instance: 1, name: "f" } } } },
    ],
    ["leads to itself", { given: { "0": shimExport("1") } }],
    [
      "is filled through another's table",
      { given: { $imports: { from: "instance", export: { instance: 1, name: "$imports" } } } },
    ],
    [
      "gives its table to others too",
      {
        plan: (plan) => ({
          ...plan,
          steps: [...plan.steps, { module: 1, imports: [{ namespace: "io", instance: 0 }] }],
        }),
      },
    ],
    ["is what is executed", { plan: (plan) => ({ ...plan, execute: { instance: 0, name: "0" } }) }],
    ["allocates", { plan: (plan) => ({ ...plan, realloc: { instance: 0, name: "0" } }) }],
  ])("stays where it %s", async (_, change) => {
    const made = await linked(change);
    expect(withoutShims(made)).toEqual(made);
  });

  test("stays where a step names what it does not have", async () => {
    const made = await linked({
      plan: (plan) => ({
        ...plan,
        steps: plan.steps.map((step, at) =>
          at === 1
            ? { ...step, imports: [{ namespace: "io", members: [["a", shimExport("9")] as const] }] }
            : step,
        ),
      }),
    });
    expect(withoutShims(made)).toEqual(made);
  });
});
