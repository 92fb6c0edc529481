import { resolve } from "node:path";
import { withLock } from "../client/lock.ts";
import type { Config } from "../config/schema.ts";
import { replaceFile } from "../keys/replace-file.ts";
import type { Identities } from "../secrets/age.ts";
import { type Unlocked, unlock } from "../secrets/edit.ts";
import { isTenantKey, type Owner } from "../secrets/layout.ts";
import { readGuarded } from "../secrets/private-file.ts";
import { textOf } from "../secrets/sops/utf8.ts";
import { type Args, DIR_FLAG } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { loadProject } from "./project.ts";
import { openIdentity, PASSPHRASE_FLAG } from "./secrets-identity.ts";

/** For every command that opens the secrets file. */
export const FILE_FLAGS = { ...PASSPHRASE_FLAG, ...DIR_FLAG } as const satisfies Args;

/** For every command that names one secret. */
export const OWNER_FLAGS = {
  tenant: { type: "string", description: "The tenant whose secret it is", valueHint: "TENANT" },
  principal: {
    type: "string",
    description: "The principal within the tenant whose secret it is",
    valueHint: "PRINCIPAL",
  },
  shared: { type: "boolean", description: "The secret of every tenant" },
} as const satisfies Args;

/** How long an edit waits for another one. */
const LOCK_MS = 10_000;
/** For the identity to be had, in milliseconds. */
const IDENTITY_MS = 5_000;

interface FileArgs {
  readonly dir?: string | undefined;
  readonly "identity-passphrase-fd"?: string | undefined;
}

export interface SecretsFile {
  readonly dir: string;
  readonly config: Config;
  /** Absolute. */
  readonly path: string;
}

export function locateSecrets(args: { readonly dir?: string | undefined }): SecretsFile {
  const { dir, config } = loadProject(args.dir);
  return { dir, config, path: resolve(dir, config.secrets.file) };
}

/** The text of the file as it is, encrypted. */
export async function readSecretsText(path: string): Promise<string> {
  return textOf((await readGuarded(path, "the secrets file", false)).bytes);
}

export async function identitiesFor({ config, dir }: SecretsFile, args: FileArgs): Promise<Identities> {
  const source = await openIdentity(config, dir, args["identity-passphrase-fd"]);
  return source.open(AbortSignal.timeout(IDENTITY_MS));
}

/** Opens the file, its MAC checked, for as long as the work takes. */
export async function withUnlocked<T>(
  file: SecretsFile,
  identities: Identities,
  work: (unlocked: Unlocked) => T | Promise<T>,
): Promise<T> {
  const unlocked = await unlock(file.path, await readSecretsText(file.path), identities);
  try {
    return await work(unlocked);
  } finally {
    unlocked.dataKey.fill(0);
  }
}

/** Changes the file under a lock that edits share, and puts the new text in its place in one step; null changes nothing. */
export function editSecrets(
  file: SecretsFile,
  identities: Identities,
  change: (unlocked: Unlocked) => string | null | Promise<string | null>,
): Promise<boolean> {
  return locked(file.path, async () => {
    const text = await withUnlocked(file, identities, change);
    if (text === null) return false;
    replaceFile(file.path, text, 0o600);
    return true;
  });
}

export function locked<T>(path: string, work: () => Promise<T>): Promise<T> {
  return withLock(`${path}.lock`, work, LOCK_MS);
}

/**
 * Whose secret the flags mean. Without one it is that of the only tenant that configuration knows; where there are
 * several, nothing is guessed.
 */
export function ownerOf(
  args: {
    readonly tenant?: string | undefined;
    readonly principal?: string | undefined;
    readonly shared: boolean;
  },
  config: Config,
): Owner {
  if (args.shared) {
    if (args.tenant !== undefined || args.principal !== undefined)
      throw new UsageError("--shared stands for every tenant and goes with no other");
    return { tenant: null, principal: null };
  }
  const tenant = args.tenant ?? onlyTenant(config);
  if (!isTenantKey(tenant))
    throw new UsageError("a tenant with secrets of its own has a name without colons");
  if (args.principal === "") throw new UsageError("--principal is empty");
  return { tenant, principal: args.principal ?? null };
}

function onlyTenant(config: Config): string {
  const tenants = new Set(Object.values(config.identity.principals).map((entry) => entry.tenant));
  const [first = "default", second] = tenants;
  if (second !== undefined)
    throw new UsageError(
      `configuration knows several tenants: ${[...tenants].join(", ")}`,
      "say whose secret it is with --tenant, or --shared",
    );
  return first;
}

/** An owner in words. */
export function ownerText({ tenant, principal }: Owner): string {
  if (tenant === null) return "shared";
  return principal === null ? `tenant ${tenant}` : `principal ${principal} of tenant ${tenant}`;
}
