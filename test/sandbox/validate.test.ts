import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { parse } from "@bytecodealliance/jco-transpile/wasm-tools";
import { readComponent } from "../../src/sandbox/component/reader.ts";
import { childValidator, ingestComponent } from "../../src/sandbox/index.ts";
import { buildComponent, pinOf } from "./build-component.ts";
import { answers } from "./guests.ts";
import { SELF } from "./laboratory.ts";

const validate = childValidator({ self: SELF });

/** A component whose structure is right and whose one core function is not valid: it leaves no result. */
async function withInvalidCode(): Promise<Uint8Array> {
  const bytes = Buffer.from(await buildComponent(answers("{}")));
  const { cores } = readComponent(bytes);
  const [main] = cores;
  if (main === undefined) throw new Error("no core module");
  // The last byte of the code section is the end of the last function; nop leaves the function without one.
  const code = bytes.lastIndexOf(0x0b, main.byteOffset - bytes.byteOffset + main.byteLength - 1);
  bytes[code] = 0x01;
  return bytes;
}

describe("the validator in its own process", () => {
  test("takes a valid component, as ingest does with it", async () => {
    const bytes = await buildComponent(answers("{}"));
    await validate(bytes);
    const component = await ingestComponent({ bytes, pin: pinOf(bytes), origin: "operator", validate });
    expect(component).toMatchObject({ origin: "operator", imports: [], digest: pinOf(bytes) });
  });

  test("refuses what the structure does not show: code that is not valid", async () => {
    const bytes = await withInvalidCode();
    expect(() => readComponent(bytes)).not.toThrow();
    await expect(validate(bytes)).rejects.toMatchObject({ code: "component_invalid" });
    await expect(
      ingestComponent({ bytes, pin: pinOf(bytes), origin: "operator", validate }),
    ).rejects.toMatchObject({ code: "component_invalid" });
  });

  test("refuses what is no component", async () => {
    await expect(validate(await parse("(module)"))).rejects.toMatchObject({ code: "component_invalid" });
    // The words are the validator's own: behind its lock it can still say what is wrong.
    await expect(validate(Buffer.from("no wasm"))).rejects.toMatchObject({
      code: "component_invalid",
      message: expect.stringContaining("not a valid component: expected `(`"),
    });
    await expect(validate(new Uint8Array())).rejects.toMatchObject({ code: "component_invalid" });
  });

  test("refuses when its process does not end in time, or fails", async () => {
    const bytes = await buildComponent(answers("{}"));
    const hangs = childValidator({
      self: [process.execPath, "-e", "setInterval(() => {}, 1000)"],
      timeoutMs: 50,
    });
    await expect(hangs(bytes)).rejects.toMatchObject({ code: "component_invalid" });
    const fails = childValidator({ self: [process.execPath, join(import.meta.dir, "no-such-file.ts")] });
    await expect(fails(bytes)).rejects.toMatchObject({ code: "component_invalid" });
  });
});
