import { damaged } from "./errors.ts";
import { placeOf } from "./sops/envelope.ts";
import type { Rule } from "./sops/rules.ts";
import type { MapNode } from "./sops/tree.ts";
import { leaves } from "./sops/walk.ts";

/** Names of secrets. None is a word of the layout, which are in lower case. */
export const SECRET_NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

const TENANTS = "tenants";
const PRINCIPALS = "principals";

/** Whose secret it is: everybody's, a tenant's, or a principal's within its tenant. */
export interface Owner {
  readonly tenant: string | null;
  /** Null with the tenant null. */
  readonly principal: string | null;
}

export interface Entry extends Owner {
  readonly name: string;
  /** The `ENC[…]` text. */
  readonly envelope: string;
  /** What binds it to its place in the file. */
  readonly place: string;
}

/**
 * Where a secret stands in the file: `NAME`, `tenants: T: NAME` or `tenants: T: principals: P: NAME`. The place of an
 * encrypted value is its keys joined by colons, so a tenant with a colon could be read as another path and has none;
 * a principal may have them, for what follows it is one name.
 */
export function pathOf({ tenant, principal }: Owner, name: string): readonly string[] {
  if (tenant === null) return [name];
  return principal === null ? [TENANTS, tenant, name] : [TENANTS, tenant, PRINCIPALS, principal, name];
}

/** Whether a tenant can have secrets of its own. */
export function isTenantKey(tenant: string): boolean {
  return tenant !== "" && !tenant.includes(":");
}

/** The secrets of a document. An empty value, and one that the file's rule leaves unencrypted, is none. */
export function secretsIn(document: MapNode | undefined, rule: Rule): Entry[] {
  if (document === undefined) return [];
  return [...leaves([document], rule)].flatMap(({ path, scalar, encrypted, inList }) => {
    if (!encrypted || inList || scalar.type !== "str" || scalar.text === "") return [];
    const found = ownerOf(path);
    return found === null ? [] : [{ ...found, envelope: scalar.text, place: placeOf(path) }];
  });
}

/** The secrets of a file by owner and name. */
export class SecretIndex {
  private readonly byPath: ReadonlyMap<string, Entry>;

  constructor(entries: readonly Entry[]) {
    this.byPath = new Map(entries.map((entry) => [keyOf(entry, entry.name), entry]));
  }

  /** The principal's own, else its tenant's, else everybody's; never another tenant's or principal's. */
  find(name: string, tenant: string, principal: string): Entry | null {
    return (
      this.byPath.get(keyOf({ tenant, principal }, name)) ??
      this.byPath.get(keyOf({ tenant, principal: null }, name)) ??
      this.byPath.get(keyOf({ tenant: null, principal: null }, name)) ??
      null
    );
  }

  /** The secret of exactly this owner. */
  at(owner: Owner, name: string): Entry | null {
    return this.byPath.get(keyOf(owner, name)) ?? null;
  }
}

function keyOf({ tenant, principal }: Owner, name: string): string {
  return JSON.stringify([tenant, principal, name]);
}

/** The inverse of {@link pathOf}; null for a value that is nobody's secret. */
function ownerOf(path: readonly string[]): (Owner & { readonly name: string }) | null {
  const name = path.at(-1) ?? "";
  if (!SECRET_NAME.test(name)) return null;
  if (path.length === 1) return { tenant: null, principal: null, name };
  const [section, tenant = "", inner, principal = ""] = path;
  if (section !== TENANTS) return null;
  if (!isTenantKey(tenant)) throw damaged("a tenant's name is empty, or has a colon");
  if (path.length === 3) return { tenant, principal: null, name };
  return path.length === 5 && inner === PRINCIPALS ? { tenant, principal, name } : null;
}
