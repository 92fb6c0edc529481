import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { readComponent } from "../../../src/sandbox/component/reader.ts";
import { ingestComponent, type Sandbox } from "../../../src/sandbox/index.ts";
import { validateComponent } from "../../../src/sandbox/validate.ts";
import { pinOf } from "../build-component.ts";
import { openSandbox, LIMITS as PLENTY, run } from "../laboratory.ts";

const MEMORY = `(memory (export "memory") 1)
  (data (i32.const 16) "\\00\\00\\00\\00\\20\\00\\00\\00\\0b\\00\\00\\00") (data (i32.const 32) "{\\"ok\\":true}")
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)`;
const EXECUTE_TYPE = '(param "task-json" string) (result (result string (error string)))';
const LOG_IMPORT = '"latchgate:provider/io-log@0.1.0"';

/** A component whose execute, in a component inside, does this first; `imports` and `lowered` are of the inner one. */
function nested(parts: {
  readonly body: string;
  readonly imports?: string;
  readonly lowered?: string;
  readonly core?: string;
  readonly around?: string;
  readonly given?: string;
}): Promise<Uint8Array> {
  const { body, imports = "", lowered = "", core = "", around = "", given = "" } = parts;
  return parse(
    `(component
    ${around}
    (component $inner
      ${imports}
      (core module $memory ${MEMORY})
      (core module $main (import "env" "memory" (memory 1)) ${core}
        (func (export "execute") (param i32 i32) (result i32) ${body} i32.const 16))
      (core instance $env (instantiate $memory))
      ${lowered}
      (core instance $run (instantiate $main (with "env" (instance $env)) ${lowered === "" ? "" : '(with "host" (instance $host))'}))
      (func $execute ${EXECUTE_TYPE} (canon lift (core func $run "execute") (memory (core memory $env "memory")) (realloc (core func $env "realloc"))))
      (export "execute" (func $execute)))
    (instance $made (instantiate $inner ${given}))
    (export "execute" (func $made "execute")))`,
  );
}

const LIMITS = { ...PLENTY, fuel: 1_000_000 };

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await openSandbox();
});
afterAll(() => sandbox.close());

async function outcomeOf(bytes: Uint8Array) {
  const pin = pinOf(bytes);
  sandbox.register(await ingestComponent({ bytes, pin, origin: "operator", validate: validateComponent }));
  return run(sandbox, pin, { limits: LIMITS });
}

describe("a component inside of another", () => {
  test("runs when it lifts execute, with a memory that its modules share", async () => {
    const bytes = await nested({ body: "i32.const 0 i32.load drop" });
    expect(await outcomeOf(bytes)).toMatchObject({ status: "ok", output: { ok: true } });
  });

  test("reaches the world through the component around it", async () => {
    const bytes = await nested({
      around: `(import ${LOG_IMPORT} (instance $log (export "log-info" (func (param "message" string)))))`,
      given: `(with ${LOG_IMPORT} (instance $log))`,
      imports: `(import ${LOG_IMPORT} (instance $log (export "log-info" (func (param "message" string)))))`,
      lowered: `(core func $lowered (canon lower (func $log "log-info") (memory (core memory $env "memory"))))
        (core instance $host (export "log" (func $lowered)))`,
      core: '(import "host" "log" (func $log (param i32 i32)))',
      body: "i32.const 33 i32.const 4 call $log",
    });
    expect(await outcomeOf(bytes)).toMatchObject({
      status: "ok",
      logs: [{ level: "info", message: '"ok"' }],
    });
  });

  test("has clocks and randomness under the names of wasi, and nothing else", async () => {
    const parts = (name: string, member = "now") => ({
      around: `(component $clock (core module $m (func (export "now") (result i64) i64.const 0))
          (core instance $i (instantiate $m)) (func $now (result u64) (canon lift (core func $i "now")))
          (export "${member}" (func $now)))
        (instance $clock (instantiate $clock))`,
      given: `(with "${name}" (instance $clock))`,
      imports: `(import "${name}" (instance $clock (export "${member}" (func (result u64)))))`,
      lowered: `(core func $lowered (canon lower (func $clock "${member}")))
        (core instance $host (export "now" (func $lowered)))`,
      core: '(import "host" "now" (func $now (result i64)))',
      // Zero, which the component that was given would say, traps.
      body: "call $now i64.eqz if unreachable end",
    });
    expect(await outcomeOf(await nested(parts("wasi:clocks/monotonic-clock@0.2.12")))).toMatchObject({
      status: "ok",
    });
    expect(await outcomeOf(await nested(parts("wasi:clocks/timezone@0.2.12")))).toMatchObject({
      status: "import_not_granted",
      detail: "the component called wasi:clocks/timezone@0.2.12.now, which no provider has",
    });
    expect(await outcomeOf(await nested(parts("wasi:random/random@0.2.0", "get-random-u64")))).toMatchObject({
      status: "ok",
    });
    expect(await outcomeOf(await nested(parts("a:b/c")))).toMatchObject({ status: "import_not_granted" });
  });

  test("gains nothing when it catches what it may not call in a start function", async () => {
    const bytes = await nested({
      around: `(component $c (core module $m (func (export "f"))) (core instance $i (instantiate $m))
          (func $f (canon lift (core func $i "f"))) (export "f" (func $f)))
        (instance $c (instantiate $c))`,
      given: '(with "a:b/c" (instance $c))',
      imports: '(import "a:b/c" (instance $c (export "f" (func))))',
      lowered: '(core func $l (canon lower (func $c "f"))) (core instance $host (export "f" (func $l)))',
      core: `(import "host" "f" (func $f)) (func $start block $b (try_table (catch_all $b) call $f) end
        (loop $again br $again)) (start $start)`,
      body: "",
    });
    expect(await outcomeOf(bytes)).toMatchObject({ status: "import_not_granted", ioCalls: 0 });
    // The loop that follows is over too: the same runner serves the next call.
    expect(await outcomeOf(await nested({ body: "" }))).toMatchObject({ status: "ok" });
  });
});

describe("the reader", () => {
  const refused = (bytes: Uint8Array) => {
    try {
      readComponent(bytes);
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
    return "taken";
  };

  test("refuses components nested without end, and too many of them", async () => {
    const shell = (inner: string) =>
      `(component $c ${inner} (instance $i (instantiate $c)) (export "execute" (func $i "execute")))`;
    let text = `(component $c (core module $m ${MEMORY} (func (export "execute") (param i32 i32) (result i32) i32.const 16))
      (core instance $i (instantiate $m))
      (func $f ${EXECUTE_TYPE} (canon lift (core func $i "execute") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
      (export "execute" (func $f)))`;
    const results: unknown[] = [];
    for (let depth = 0; depth < 7; depth++) {
      results.push(refused(await parse(text.replace("(component $c", "(component"))));
      text = shell(text);
    }
    expect(results.slice(0, 5)).toEqual(["taken", "taken", "taken", "taken", "taken"]);
    expect(results.slice(5)).toEqual(["component_unsupported", "component_unsupported"]);
  });

  test("refuses what imports of wasi go beyond clocks and randomness", async () => {
    const importing = (name: string, exported: string) =>
      parse(`(component (import "${name}" (instance (export "${exported}" (func (result u64))))))`);
    for (const [name, exported] of [
      ["wasi:filesystem/types@0.2.12", "now"],
      ["wasi:clocks/monotonic-clock@0.3.0", "now"],
      ["wasi:clocks/monotonic-clock", "now"],
      ["wasi:clocks/monotonic-clock@0.2.12", "subscribe"],
      ["wasi:sockets/tcp@0.2.0", "connect"],
    ] as const)
      expect(refused(await importing(name, exported))).toBe("component_import_unknown");
    expect(refused(await importing("wasi:clocks/monotonic-clock@0.2.3", "now"))).toBe(
      "component_export_missing",
    );
  });
});
