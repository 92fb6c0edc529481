import { LatchGateError } from "../../src/core/errors.ts";
import type { OpenSecrets, SecretRequest, SecretSource } from "../../src/core/secrets.ts";

/** A source over a table in memory, with what was asked of it and whether everything was released. */
export class TableSource implements SecretSource {
  readonly requests: SecretRequest[] = [];
  /** Buffers that are out now. */
  readonly out = new Set<Uint8Array>();
  private readonly values: Readonly<Record<string, string | Uint8Array>>;
  private readonly fault: string | null;

  constructor(values: Readonly<Record<string, string | Uint8Array>>, fault: string | null = null) {
    this.values = values;
    this.fault = fault;
  }

  async open(request: SecretRequest): Promise<OpenSecrets> {
    this.requests.push(request);
    if (this.fault !== null) throw new LatchGateError(this.fault, `what ${this.fault} says`);
    const opened = new Map<string, Uint8Array>();
    for (const name of request.names) {
      const value = this.values[`${request.tenant}/${name}`] ?? this.values[name];
      if (value === undefined) throw new LatchGateError("secret_missing", `no ${name}`);
      opened.set(name, Uint8Array.from(Buffer.from(value as Uint8Array)));
    }
    for (const value of opened.values()) this.out.add(value);
    return {
      bytes: (name) => {
        const value = opened.get(name);
        if (value === undefined) throw new Error(`${name} was not asked for`);
        return value;
      },
      release: () => {
        for (const value of opened.values()) {
          value.fill(0);
          this.out.delete(value);
        }
      },
    };
  }
}
