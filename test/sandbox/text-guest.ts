import { buildComponentFromText } from "./build-component.ts";

/**
 * A provider in the text format whose execute does `body` before it answers `{}`. It has a memory of one page, a local
 * `$at`, a table `$t` of nothing and `$takes`, types `$none` and `$other`, and, where it is named, an exception `$e`: the
 * validator takes none, so that only a built-in component could have one.
 */
export function textGuest(body: string, parts = "", memory = "1"): Promise<Uint8Array> {
  return buildComponentFromText(`(module
    (memory (export "memory") ${memory})
    (data (i32.const 16) "\\00\\00\\00\\00\\20\\00\\00\\00\\02\\00\\00\\00")
    (data (i32.const 32) "{}")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (type $none (func)) (type $other (func (param i32)))
    (table $t 2 funcref) (elem $t (i32.const 1) func $takes) (func $takes (param i32))
    ${`${body}${parts}`.includes("$e)") ? "(tag $e)" : ""}
    ${parts}
    (func (export "execute") (param i32 i32) (result i32) (local $at i32) ${body} i32.const 16))`);
}
