import type { HostErrorCode } from "../core/effect.ts";
import { LatchGateError } from "../core/errors.ts";
import type { OpenSecrets, SecretRequest, SecretSource } from "../core/secrets.ts";
import { HostFailure } from "./failure.ts";

const CODES: readonly HostErrorCode[] = [
  "secret_missing",
  "secrets_unavailable",
  "secrets_damaged",
  "cancelled",
];

/** What a plan without credentials gets: it has none to ask for. */
const NO_SECRETS: OpenSecrets = {
  bytes: (): never => {
    throw new HostFailure("secret_missing", "the plan names no secret");
  },
  release: () => {},
};

/**
 * Opens the secrets of a plan for the length of one use and releases them whatever comes of it. Throws
 * {@link HostFailure}: nothing has left the gate then. Values and the source's own words go no further.
 */
export async function withSecrets<T>(
  source: SecretSource | null,
  request: SecretRequest,
  use: (secrets: OpenSecrets) => Promise<T>,
): Promise<T> {
  if (request.names.length === 0) return use(NO_SECRETS);
  if (source === null) throw new HostFailure("secrets_unavailable", "the gate has no source of secrets");
  const secrets = await opened(source, request);
  try {
    return await use(secrets);
  } finally {
    secrets.release();
  }
}

async function opened(source: SecretSource, request: SecretRequest): Promise<OpenSecrets> {
  try {
    return await source.open(request);
  } catch (thrown) {
    request.signal.throwIfAborted();
    const code = CODES.find((known) => thrown instanceof LatchGateError && thrown.code === known);
    throw new HostFailure(code ?? "secrets_unavailable", "the secrets of the plan could not be opened", {
      cause: thrown,
    });
  }
}
