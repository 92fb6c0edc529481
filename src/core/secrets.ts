/**
 * Where credentials come from, at the last moment: a broker opens the ones that its granted plan names, uses them
 * and releases them. Nothing else in the gate sees a value.
 */
export interface SecretSource {
  /**
   * Decrypts the named values and no other. Rejects with a `LatchGateError` whose code is `secret_missing`,
   * `secrets_unavailable` (no file, no identity, time limit), `secrets_damaged` (MAC or ciphertext) or `cancelled`.
   * A value that belongs to another tenant or principal is missing.
   */
  open(request: SecretRequest): Promise<OpenSecrets>;
}

/** Codes with which a {@link SecretSource} refuses, beside `cancelled`. */
export const SECRET_ERRORS = ["secret_missing", "secrets_unavailable", "secrets_damaged"] as const;

export interface SecretRequest {
  readonly names: readonly string[];
  readonly tenant: string;
  readonly principal: string;
  readonly signal: AbortSignal;
}

export interface OpenSecrets {
  /** The bytes of one value that was asked for: the same buffer until `release`, never to be kept beyond it. */
  bytes(name: string): Uint8Array;
  /** Overwrites every buffer. What a JavaScript engine copied meanwhile (strings, socket buffers) it cannot reach. */
  release(): void;
}
