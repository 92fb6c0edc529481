import { isServed, wasiInterfaceOf } from "../wit/wasi.ts";
import { type InterfaceName, interfaceOf, worldFunction } from "../wit/world.ts";
import { ComponentError, malformed, unsupported } from "./cursor.ts";
import { type ComponentFunction, type ComponentInstance, declaredInstance } from "./definitions.ts";
import { quoted } from "./faults.ts";
import type { DeclaredType, ExternSort } from "./types.ts";

export type Imported =
  | { readonly sort: "instance"; readonly instance: ComponentInstance }
  | { readonly sort: "function"; readonly function: ComponentFunction }
  | { readonly sort: "type"; readonly type: DeclaredType };

/** What a component gets for an import. */
export type ImportSource = (name: string, sort: ExternSort, type: DeclaredType) => Imported;

/**
 * What the whole component may import: interfaces of the world, each function with the world's signature, and of WASI
 * clocks and randomness. Adds the interfaces to `seen`. Throws {@link ComponentError}, with what else it imports.
 */
export function worldImports(seen: Set<InterfaceName>): ImportSource {
  return (importName, sort, type) => {
    const name = interfaceOf(importName);
    if (name === null) return { sort: "instance", instance: wasiInstance(importName, sort, type) };
    if (sort !== "instance" || type.kind !== "instance") throw unknown(importName);
    for (const [member, declared] of type.exports) checkMember(name, member, declared);
    seen.add(name);
    return {
      sort: "instance",
      instance: declaredInstance(type, (member) => ({ kind: "world", name: `${name}.${member}` })),
    };
  };
}

/**
 * What a component inside gets: the world's interfaces as the component around it passes them on, WASI as the sandbox
 * serves it, and in the place of everything else functions that end the call. So nothing that one part of a component
 * has another part do is ever run.
 */
export function nestedImports(given: ReadonlyMap<string, ComponentInstance>): ImportSource {
  return (importName, sort, type) => {
    if (sort === "type") return { sort, type };
    if (sort === "function") return { sort, function: { kind: "denied", name: importName } };
    if (sort !== "instance") throw unsupported("modules or components as imports");
    if (interfaceOf(importName) !== null) {
      const instance = given.get(importName);
      if (instance === undefined) throw malformed("a component inside is not given what it imports");
      return { sort, instance };
    }
    const wasi = wasiInterfaceOf(importName) ?? importName;
    return { sort, instance: declaredInstance(type, (member) => wasiFunction(`${wasi}.${member}`)) };
  };
}

function wasiInstance(importName: string, sort: ExternSort, type: DeclaredType): ComponentInstance {
  const name = wasiInterfaceOf(importName);
  if (name === null || sort !== "instance" || type.kind !== "instance") throw unknown(importName);
  for (const [member, declared] of type.exports)
    if (declared.kind === "function" && !isServed(`${name}.${member}`))
      throw unknown(`${importName} ${member}`);
  return declaredInstance(type, (member) => wasiFunction(`${name}.${member}`));
}

function wasiFunction(name: string): ComponentFunction {
  return { kind: isServed(name) ? "wasi" : "denied", name };
}

function checkMember(name: InterfaceName, member: string, type: DeclaredType): void {
  if (type.kind === "value") return;
  const declared = worldFunction(`${name}.${member}`);
  if (declared === undefined || type.kind !== "function") throw unknown(`${name}.${member}`);
  if (type.signature !== declared.signature)
    throw new ComponentError(
      "component_signature_mismatch",
      `the component imports ${name}.${member} with another signature than the world declares`,
    );
}

function unknown(name: string): ComponentError {
  return new ComponentError("component_import_unknown", `the component imports ${quoted(name)}`, {
    hint: "a provider may import the interfaces of latchgate:provider@0.1.0, and of wasi 0.2 clocks and random; build it without the rest of wasi",
  });
}
