import { isIP } from "node:net";
import { rootCertificates } from "node:tls";
import type { Clock } from "../core/clock.ts";
import { HostFailure } from "./failure.ts";
import { isMulticast, isUnspecified } from "./http/addresses.ts";
import { type DialTarget, type TrustSet, trustSet } from "./http/connect.ts";
import { type ListenerAddress, reachesListener } from "./http/local-egress.ts";
import { Pins } from "./http/pins.ts";
import type { Resolve } from "./http/resolver.ts";

export interface EndpointDeps {
  readonly clock: Clock;
  readonly resolve: Resolve;
  /** Where a judged address is really dialled; the identity outside of tests. */
  readonly dial: (address: string, port: number) => { readonly address: string; readonly port: number };
  /** PEM authorities for endpoints without their own. */
  readonly authorities: readonly string[] | null;
  readonly listeners: () => readonly ListenerAddress[];
  readonly dnsMs: number;
}

/** A place of a connection, as the configuration has it. */
export interface EndpointPlace {
  readonly host: string;
  readonly port: number;
  readonly tls: "verify" | "off";
}

export interface Located {
  /** The address as judged, for the record. */
  readonly address: string;
  readonly target: DialTarget;
  /** Also for a protocol that begins TLS later; null when there is none. */
  readonly trust: TrustSet | null;
}

/**
 * From the endpoints of `[[connections.*]]` to addresses. The operator has named each of them, so a private address is
 * as good as a public one; only addresses that name no one machine, and the gate's own listeners, are refused.
 */
export class Endpoints {
  private readonly deps: EndpointDeps;
  private readonly pins: Pins;
  private readonly trusts = new Map<string, TrustSet>();
  private usual: TrustSet | null = null;

  constructor(deps: EndpointDeps) {
    this.deps = deps;
    this.pins = new Pins(deps.resolve, namesOneMachine, deps.clock);
  }

  /**
   * Where a connection is dialled, and what is trusted there. Throws {@link HostFailure} `dns_failed`,
   * `address_not_public` or `host_not_allowed`, or the signal's reason.
   */
  async locate(
    place: EndpointPlace,
    ca: string | null,
    scheme: DialTarget["scheme"],
    signal: AbortSignal,
  ): Promise<Located> {
    const { host, port } = place;
    signal.throwIfAborted();
    const address = isIP(host) === 0 ? await this.pin(host, signal) : this.pins.literal(host);
    if (reachesListener({ address, port }, this.deps.listeners()))
      throw new HostFailure("host_not_allowed", "target is a listener of the gate itself");
    const trust = place.tls === "off" ? null : this.trust(ca);
    const dialled = this.deps.dial(address, port);
    const inner = scheme === "https" || scheme === "tls" ? trust : null;
    return { address, trust, target: { scheme, host, ...dialled, trust: inner, owner: "" } };
  }

  /** Forgets the address of a name that could not be dialled, so that the next call asks again. */
  forget(host: string): void {
    this.pins.forget(host);
  }

  private async pin(host: string, signal: AbortSignal): Promise<string> {
    const late = AbortSignal.timeout(this.deps.dnsMs);
    try {
      return await this.pins.pin(host, AbortSignal.any([signal, late]));
    } catch (cause) {
      signal.throwIfAborted();
      if (late.aborted) throw new HostFailure("dns_failed", "name was not resolved in time", { cause });
      throw cause;
    }
  }

  /** Made once for each set of authorities: the configuration has few. */
  private trust(ca: string | null): TrustSet {
    if (ca === null) {
      this.usual ??= trustSet(this.deps.authorities ?? rootCertificates);
      return this.usual;
    }
    const known = this.trusts.get(ca) ?? trustSet([ca]);
    this.trusts.set(ca, known);
    return known;
  }
}

function namesOneMachine(address: string): boolean {
  return !isUnspecified(address) && !isMulticast(address);
}
