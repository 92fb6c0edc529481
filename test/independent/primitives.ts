/** What docs/evidence-format.md takes from other standards: canonical JSON, closed schemas, the tree, keys. */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";

// biome-ignore lint/suspicious/noExplicitAny: whatever a file says, compared member by member
export type Any = any;

export type Jwk = Readonly<Record<string, string>>;

export const sha = (...parts: (string | Uint8Array)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

export function canonical(value: Any): string {
  if (typeof value === "string" && !value.isWellFormed()) throw new TypeError("lone surrogate");
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${canonical(name)}:${canonical(value[name])}`).join(",")}}`;
}

/** The part of JSON Schema that the published format uses. */
export function fits(value: Any, schema: Any): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((one: Any) => fits(value, one));
  if ("const" in schema) return value === schema.const;
  if (schema.enum !== undefined) return schema.enum.includes(value);
  if (schema.type === "null") return value === null;
  if (schema.type === "boolean") return typeof value === "boolean";
  if (schema.type === "integer")
    return Number.isInteger(value) && value >= schema.minimum && value <= schema.maximum;
  if (schema.type === "string")
    return (
      typeof value === "string" &&
      (schema.pattern === undefined || new RegExp(schema.pattern).test(value)) &&
      value.length <= (schema.maxLength ?? Number.POSITIVE_INFINITY)
    );
  if (schema.type === "array")
    return (
      Array.isArray(value) && value.length <= schema.maxItems && value.every((one) => fits(one, schema.items))
    );
  if (schema.type !== "object" || value === null || typeof value !== "object" || Array.isArray(value))
    return false;
  const names = Object.keys(value);
  const all =
    names.length === schema.required.length && names.every((name) => schema.required.includes(name));
  return all && names.every((name) => fits(value[name], schema.properties[name]));
}

export function decode(text: string, encoding: "base64" | "base64url"): Buffer | null {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : null;
}

/** RFC 6962 §2.1, as it is written there. */
export function treeRoot(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha();
  if (leaves.length === 1) return only;
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return sha(Uint8Array.of(1), treeRoot(leaves.slice(0, k)), treeRoot(leaves.slice(k)));
}

export const thumbprint = ({ crv, kty, x, y }: Jwk) =>
  sha(canonical(y === undefined ? { crv, kty, x } : { crv, kty, x, y })).toString("base64url");
const PRIME = 2n ** 255n - 19n;
/** The y of points of order 8; the other small orders have y = 0, 1 and -1 (RFC 7748 §7 and the curve's equation). */
const ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7n;

export function importKey(jwk: Jwk): KeyObject | null {
  const raw = decode(jwk.x ?? "", "base64url");
  const y =
    BigInt(
      `0x${
        Buffer.from(raw ?? [])
          .reverse()
          .toString("hex") || 0
      }`,
    ) &
    (2n ** 255n - 1n);
  const small = [0n, 1n, PRIME - 1n, ORDER_8, PRIME - ORDER_8].includes(y);
  if (jwk.kty === "OKP" && (raw?.length !== 32 || y >= PRIME || small)) return null;
  try {
    return createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch {
    return null;
  }
}
