import fc from "fast-check";
import type { WitType, WitValue } from "../../../src/sandbox/wit/type.ts";

const text = fc.string({ unit: "grapheme", maxLength: 20 });

/** Arbitrary values of a type of the world. */
export function valuesOf(type: WitType): fc.Arbitrary<WitValue> {
  switch (type.kind) {
    case "bool":
      return fc.boolean();
    case "u8":
      return fc.nat(0xff);
    case "u16":
      return fc.nat(0xffff);
    case "u32":
      return fc.nat(0xffff_ffff);
    case "u64":
      return fc.nat(Number.MAX_SAFE_INTEGER);
    case "string":
      return text;
    case "bytes":
      return fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.from(bytes));
    case "enum":
      return fc.constantFrom(...type.cases);
    case "list":
      return fc.array(valuesOf(type.item), { maxLength: 4 });
    case "record":
      return fc
        .tuple(...type.fields.map((field) => valuesOf(field.type)))
        .map((values) =>
          Object.fromEntries(type.fields.map((field, index) => [field.member, values[index] ?? null])),
        );
    case "tuple":
      return fc.tuple(...type.fields.map((field) => valuesOf(field.type)));
    case "option":
      return fc.option(valuesOf(type.some), { nil: null });
    case "result":
      return fc.oneof(
        valuesOf(type.ok).map((ok) => ({ ok })),
        valuesOf(type.err).map((err) => ({ err })),
      );
  }
}
