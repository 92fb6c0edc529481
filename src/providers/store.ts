import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../core/bytes.ts";
import { isJsonObject, type Json, parseJson } from "../core/json.ts";
import { replaceFile } from "../keys/replace-file.ts";
import { ProviderError } from "./errors.ts";

/** A component that the operator has admitted. Manifests name it by its digest. */
export interface StoredProvider {
  readonly name: string;
  /** `sha256:` and 64 digits of hex. */
  readonly digest: string;
  readonly bytes: number;
  /** Interfaces of the world that it imports. */
  readonly imports: readonly string[];
}

/** The gate refuses larger ones. */
const LARGEST = 32 * 1024 * 1024;
const MOST = 1_000;
const NAME = /^[a-z][a-z0-9_-]{0,63}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * The components of a project: `<hex>.wasm` for each, and `providers.lock.json`, which gives them names and pins their
 * digests. The gate reads the components alone, and compares each with the digest that a manifest pins.
 */
export class ProviderStore {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** In the order of their names. Throws `provider_invalid` for a lock file that is not right. */
  list(): readonly StoredProvider[] {
    const bytes = readBounded(this.lockPath, 1_048_576);
    if (bytes === null) return [];
    let value: Json;
    try {
      value = parseJson(bytes, { bytes: bytes.byteLength, depth: 8 });
    } catch (cause) {
      throw invalid(`${this.lockPath} is not json`, cause);
    }
    const items = isJsonObject(value) && value.version === 1 ? value.providers : undefined;
    if (!Array.isArray(items) || items.length > MOST || !items.every(isProvider))
      throw invalid(`${this.lockPath} has another format than this version writes`);
    return items as unknown as readonly StoredProvider[]; // each was checked
  }

  /** By name or digest. Throws `provider_not_found`. */
  find(nameOrDigest: string): StoredProvider {
    const found = this.list().find(({ name, digest }) => name === nameOrDigest || digest === nameOrDigest);
    if (found === undefined)
      throw new ProviderError("provider_not_found", `there is no provider ${nameOrDigest}`, {
        hint: "latchgate provider list shows those that there are",
      });
    return found;
  }

  /** Stores a component that has passed every check. Throws `provider_exists` for a name that another one has. */
  add(name: string, component: Uint8Array, imports: readonly string[]): StoredProvider {
    if (!NAME.test(name))
      throw new ProviderError("provider_invalid", `${JSON.stringify(name)} is no name for a provider`, {
        hint: "use up to 64 of a-z, 0-9, _ and -, beginning with a letter",
      });
    const digest = `sha256:${sha256Hex(component)}`;
    const known = this.list();
    const holder = known.find((provider) => provider.name === name);
    if (holder !== undefined && holder.digest !== digest)
      throw new ProviderError("provider_exists", `${name} is another component, ${holder.digest}`, {
        hint: `give this one another name, or first run latchgate provider remove ${name}`,
      });
    const provider = { name, digest, bytes: component.byteLength, imports: [...imports] };
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    replaceFile(this.path(digest), component, 0o600);
    this.write([...known.filter((other) => other.name !== name), provider]);
    return provider;
  }

  /** Takes a name away, and the component with it when no other name is left for it. */
  remove(provider: StoredProvider): void {
    const left = this.list().filter(({ name }) => name !== provider.name);
    this.write(left);
    if (!left.some(({ digest }) => digest === provider.digest))
      rmSync(this.path(provider.digest), { force: true });
  }

  /** The bytes of a stored component, which must still be what its digest says. Throws `provider_invalid`. */
  read({ digest }: StoredProvider): Uint8Array {
    const bytes = readComponentFile(this.path(digest));
    if (`sha256:${sha256Hex(bytes)}` !== digest)
      throw invalid(`${this.path(digest)} is not the component that it was`);
    return bytes;
  }

  path(digest: string): string {
    return join(this.folder, `${digest.slice("sha256:".length)}.wasm`);
  }

  private get lockPath(): string {
    return join(this.folder, "providers.lock.json");
  }

  private write(providers: readonly StoredProvider[]): void {
    const sorted = [...providers].sort((a, b) => (a.name < b.name ? -1 : 1));
    replaceFile(this.lockPath, `${JSON.stringify({ version: 1, providers: sorted }, null, 2)}\n`, 0o600);
  }
}

/** Reads the file of a component, at most 32 MiB of it. Throws `provider_not_found` and `provider_invalid`. */
export function readComponentFile(path: string): Uint8Array {
  const bytes = readBounded(path, LARGEST);
  if (bytes === null) throw new ProviderError("provider_not_found", `there is no file ${path}`);
  return bytes;
}

/** Null when nothing is there. Never waits for the writer of a pipe. */
function readBounded(path: string, most: number): Buffer | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw invalid(`${path} cannot be read`, cause);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw invalid(`${path} is not a regular file`);
    if (stat.size > most) throw invalid(`${path} is larger than ${most} bytes`);
    const buffer = Buffer.alloc(stat.size);
    let length = 0;
    while (length < buffer.length) {
      const read = readSync(fd, buffer, length, buffer.length - length, length);
      if (read === 0) break;
      length += read;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

function isProvider(value: Json): boolean {
  if (!isJsonObject(value)) return false;
  const { name, digest, bytes, imports } = value;
  return (
    typeof name === "string" &&
    NAME.test(name) &&
    typeof digest === "string" &&
    DIGEST.test(digest) &&
    Number.isSafeInteger(bytes) &&
    Array.isArray(imports) &&
    imports.every((item) => typeof item === "string")
  );
}

function invalid(message: string, cause?: unknown): ProviderError {
  return new ProviderError("provider_invalid", message, { cause });
}
