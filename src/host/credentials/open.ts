import {
  type OpenSecrets,
  SECRET_ERRORS,
  type SecretRequest,
  type SecretSource,
} from "../../core/secrets.ts";
import { HostFailure } from "../failure.ts";

/** Which secrets a call wants, and which it may have. */
export interface Wanted {
  /** Without one of these the call is refused. */
  readonly required: readonly string[];
  /** These and the optional ones. */
  readonly all: readonly string[];
  /** What policy granted. */
  readonly granted: readonly string[];
  /** What the gate's own configuration needs for the call; no policy grants it. */
  readonly own: readonly string[];
}

/** The values of one call. */
export interface Opened {
  /** Of the plan's secrets those that are there: optional ones may be missing. */
  readonly names: ReadonlySet<string>;
  readonly secrets: OpenSecrets;
}

/**
 * Opens what a plan names and policy granted. An optional secret that nobody has, or that was not granted, is left
 * out; one that cannot be read is an outage and not left out.
 *
 * Throws {@link HostFailure} `not_granted`, the code of the source, or the signal's reason; nothing stays open then.
 * Values and the source's own words go no further.
 */
export async function openSecrets(
  source: SecretSource | null,
  { required, all, granted, own }: Wanted,
  caller: Pick<SecretRequest, "tenant" | "principal">,
  signal: AbortSignal,
): Promise<Opened> {
  if (!required.every((name) => granted.includes(name)))
    throw new HostFailure("not_granted", "policy did not grant a required secret");
  const needed = [...new Set([...required, ...own])];
  const optional = all.filter((name) => granted.includes(name) && !needed.includes(name));
  const opened: OpenSecrets[] = [];
  const holders = new Map<string, OpenSecrets>();
  const open = async (names: readonly string[]) => {
    if (source === null) throw new HostFailure("secrets_unavailable", "the gate has no source of secrets");
    const secrets = await opening(source.open({ names, ...caller, signal }), signal);
    opened.push(secrets);
    for (const name of names) holders.set(name, secrets);
  };
  const release = () => {
    for (const secrets of opened) secrets.release();
  };
  try {
    if (needed.length > 0) await open(needed);
    // Each by itself: the source refuses a request as a whole.
    if (source !== null) for (const name of optional) await orMissing(open([name]));
  } catch (thrown) {
    release();
    throw thrown;
  }
  const bytes = (name: string) => {
    const holder = holders.get(name);
    if (holder === undefined) throw new HostFailure("secret_missing", "a secret that was not opened");
    return holder.bytes(name);
  };
  const names = all.filter((name) => holders.has(name) && granted.includes(name));
  return { names: new Set(names), secrets: { bytes, release } };
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
