import type { SecretBinding } from "../../core/secret-binding.ts";
import { type OpenSecrets, SECRET_ERRORS, type SecretSource } from "../../core/secrets.ts";
import { HostFailure } from "../failure.ts";

/** Whose secrets a call may use, and which of them policy granted. */
export interface SecretGrant {
  readonly granted: readonly string[];
  readonly tenant: string;
  readonly principal: string;
}

/** The values of one call. */
export interface OpenCredentials {
  /** Those bindings of the plan that take part: optional ones may be missing. */
  readonly bindings: readonly SecretBinding[];
  readonly secrets: OpenSecrets;
}

/**
 * Opens what a plan names and policy granted. An optional secret that nobody has, or that was not granted, is left
 * out; one that cannot be read is an outage and not left out. `also` are names that the gate's own configuration needs.
 *
 * Throws {@link HostFailure} `not_granted` or the code of the source; nothing stays open then.
 */
export async function openCredentials(
  bindings: readonly SecretBinding[],
  source: SecretSource | null,
  grant: SecretGrant,
  also: readonly string[],
  signal: AbortSignal,
): Promise<OpenCredentials> {
  const { granted, tenant, principal } = grant;
  const required = new Set(also);
  const optional = new Set<string>();
  for (const binding of bindings) {
    if (!binding.required) {
      if (granted.includes(binding.secret)) optional.add(binding.secret);
    } else if (granted.includes(binding.secret)) required.add(binding.secret);
    else throw new HostFailure("not_granted", "policy did not grant a required secret");
  }
  for (const name of required) optional.delete(name);
  const opened: OpenSecrets[] = [];
  const holders = new Map<string, OpenSecrets>();
  const open = async (names: readonly string[]) => {
    if (source === null) throw new HostFailure("secrets_unavailable", "the gate has no secrets");
    const secrets = await opening(source.open({ names, tenant, principal, signal }), signal);
    opened.push(secrets);
    for (const name of names) holders.set(name, secrets);
  };
  const release = () => {
    for (const secrets of opened) secrets.release();
  };
  try {
    if (required.size > 0) await open([...required]);
    // Each by itself: the source refuses a request as a whole.
    if (source !== null) for (const name of optional) await orMissing(open([name]));
  } catch (thrown) {
    release();
    throw thrown;
  }
  return {
    bindings: bindings.filter(({ secret }) => holders.has(secret) && granted.includes(secret)),
    secrets: {
      bytes: (name) => {
        const holder = holders.get(name);
        if (holder === undefined) throw new HostFailure("not_granted", "a secret that was not opened");
        return holder.bytes(name);
      },
      release,
    },
  };
}

async function orMissing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (thrown) {
    if (!(thrown instanceof HostFailure && thrown.code === "secret_missing")) throw thrown;
  }
}

/** Ends with the call, whatever the source does; what it opens too late is released at once. */
function opening(work: Promise<OpenSecrets>, signal: AbortSignal): Promise<OpenSecrets> {
  return new Promise((resolve, reject) => {
    let over = false;
    const onAbort = () => {
      over = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(
      (secrets) => {
        signal.removeEventListener("abort", onAbort);
        if (over) secrets.release();
        else resolve(secrets);
      },
      (cause: unknown) => {
        signal.removeEventListener("abort", onAbort);
        // The message stays behind: it is the source's, for operators.
        if (!over) reject(new HostFailure(codeOf(cause), "a secret could not be opened", { cause }));
      },
    );
  });
}

function codeOf(thrown: unknown): (typeof SECRET_ERRORS)[number] | "cancelled" {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : null;
  if (code === "cancelled") return "cancelled";
  return SECRET_ERRORS.find((known) => known === code) ?? "secrets_unavailable";
}
