/**
 * Where a named connection of the operator's configuration leads: facts that an approver and the receipt see, never a
 * credential. `verify` checks the certificate against the host; `off` is for literal loopback addresses alone.
 */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** The account that is used there; null for none. */
  readonly user: string | null;
  readonly tls: "verify" | "off";
}
