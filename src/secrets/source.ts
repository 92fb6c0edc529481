import type { OpenSecrets, SecretRequest, SecretSource } from "../core/secrets.ts";
import { checkInThread } from "./check.ts";
import { SecretsError, unavailable } from "./errors.ts";
import type { IdentitySource } from "./identity.ts";
import { type Entry, SecretIndex } from "./layout.ts";
import { readGuarded, stampAt } from "./private-file.ts";
import { open as openEnvelope } from "./sops/envelope.ts";

export interface SecretSourceOptions {
  /** The secrets file; it need not be there yet. */
  readonly file: string;
  readonly identity: IdentitySource;
  /** For a file version to be read, opened and checked, in milliseconds. */
  readonly timeLimitMs?: number;
  /** Told of each MAC check: for tests and for counting. */
  readonly onChecked?: () => void;
}

export interface OwnedSecretSource extends SecretSource {
  /** Overwrites the data key. */
  close(): void;
}

/** A version of the file that has been checked. */
interface OpenVersion {
  readonly stamp: string;
  readonly digest: string;
  readonly index: SecretIndex;
  /** Overwritten once another version is in its place. */
  readonly dataKey: Uint8Array;
}

const TIME_LIMIT_MS = 5_000;

/**
 * Secrets from a SOPS file. Each version of the file is read and checked once, whoever asks for it; then only what is
 * asked for is decrypted. A change of the file is seen at the next request; until it is checked, nobody is served.
 */
export function createSecretSource(options: SecretSourceOptions): OwnedSecretSource {
  return new FileSecretSource(options);
}

class FileSecretSource implements OwnedSecretSource {
  private readonly options: SecretSourceOptions;
  private version: OpenVersion | null = null;
  /** The version that was refused for good, and why: damage does not heal by looking again. */
  private refused: { readonly stamp: string; readonly error: SecretsError } | null = null;
  /** With the stamp that the file had when the check began, null for no file. */
  private checking: { readonly stamp: string | null; readonly work: Promise<OpenVersion> } | null = null;
  private closed = false;

  constructor(options: SecretSourceOptions) {
    this.options = options;
  }

  async open(request: SecretRequest): Promise<OpenSecrets> {
    const names = [...new Set(request.names)];
    const { tenant, principal, signal } = request;
    let version = await orCancelled(this.current(), signal);
    // A version that another one has replaced meanwhile has no key any more.
    while (version !== this.version) version = await orCancelled(this.current(), signal);
    const entries = names.map((name) => [name, version.index.find(name, tenant, principal)] as const);
    const missing = entries.filter(([, entry]) => entry === null).map(([name]) => name);
    if (missing.length > 0)
      throw new SecretsError("secret_missing", `there is no secret ${missing.join(", ")} for this caller`, {
        hint: `latchgate secrets set ${missing[0]}`,
      });
    return decrypt(entries as readonly (readonly [string, Entry])[], version.dataKey); // none is null
  }

  close(): void {
    this.closed = true;
    this.version?.dataKey.fill(0);
    this.version = null;
  }

  /** The version that the file holds now. */
  private async current(): Promise<OpenVersion> {
    if (this.closed) throw unavailable("the secrets file is closed");
    const stamp = await stampAt(this.options.file);
    if (stamp !== null && stamp === this.version?.stamp) return this.version;
    if (stamp !== null && stamp === this.refused?.stamp) throw this.refused.error;
    if (this.checking !== null && this.checking.stamp !== stamp) {
      // It may have read the file before the change that this request must see.
      await this.checking.work.catch(() => undefined); // told to those who asked for it
      return this.current();
    }
    const work =
      this.checking?.work ??
      this.check().finally(() => {
        this.checking = null;
      });
    this.checking ??= { stamp, work };
    return work;
  }

  private async check(): Promise<OpenVersion> {
    const limit = this.options.timeLimitMs ?? TIME_LIMIT_MS;
    const signal = AbortSignal.timeout(limit);
    const late = unavailable(`the secrets file was not opened within ${limit / 1000} s`);
    return orElse(this.read(signal), signal, late);
  }

  private async read(signal: AbortSignal): Promise<OpenVersion> {
    const { file, identity, onChecked } = this.options;
    const state = await readGuarded(file, "the secrets file", false);
    if (state.digest === this.version?.digest) {
      this.version = { ...this.version, stamp: state.stamp };
      return this.version;
    }
    let fresh: OpenVersion;
    try {
      const identities = await identity.open(signal);
      const { entries, dataKey } = await checkInThread(file, state.bytes, identities, signal);
      fresh = { stamp: state.stamp, digest: state.digest, index: new SecretIndex(entries), dataKey };
    } catch (error) {
      if (error instanceof SecretsError && error.code === "secrets_damaged")
        this.refused = { stamp: state.stamp, error };
      throw error;
    } finally {
      onChecked?.();
    }
    if (this.closed || signal.aborted) {
      fresh.dataKey.fill(0);
      throw unavailable("the secrets file was closed, or not opened in time");
    }
    this.version?.dataKey.fill(0);
    this.version = fresh;
    this.refused = null;
    return fresh;
  }
}

function decrypt(entries: readonly (readonly [string, Entry])[], dataKey: Uint8Array): OpenSecrets {
  const values = new Map<string, Uint8Array>();
  const release = () => {
    for (const bytes of values.values()) bytes.fill(0);
    values.clear();
  };
  try {
    for (const [name, entry] of entries) values.set(name, openEnvelope(entry.envelope, dataKey, entry.place));
  } catch (error) {
    release();
    throw error;
  }
  return {
    bytes(name) {
      const value = values.get(name);
      if (value === undefined) throw new TypeError(`the secret ${name} was not asked for, or is released`);
      return value;
    },
    release,
  };
}

function orCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return orElse(work, signal, new SecretsError("cancelled", "the call that wanted a secret was cancelled"));
}

/** The work's outcome, or the error as soon as the signal gives up; the work goes on for others that wait for it. */
function orElse<T>(work: Promise<T>, signal: AbortSignal, error: SecretsError): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(error);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}
