import { isIP } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { HostFailure } from "../failure.ts";
import type { DnsAnswer, Resolve } from "./resolver.ts";

/** Longest time that a resolved and judged address is used before the name is asked again. */
export const PIN_LIFETIME_MS = 60_000;
const MOST_PINS = 1024;
/** A name with more addresses is not tried further: each one is a packet to somebody. */
const MOST_ADDRESSES = 4;

/** In the order to try. */
export type Addresses = readonly [string, ...string[]];

interface Pin {
  readonly addresses: Addresses;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/**
 * From names to the addresses that may be dialled. Every answer must be public, or none is used: a name that
 * also points inside is not half trusted. The verdict and the dial use the same text, so a name that changes its
 * answer in between (DNS rebinding) changes nothing.
 */
export class Pins {
  private readonly pins = new Map<string, Pin>();
  private readonly resolve: Resolve;
  private readonly isPublic: (address: string) => boolean;
  private readonly clock: Clock;

  constructor(resolve: Resolve, isPublic: (address: string) => boolean, clock: Clock) {
    this.resolve = resolve;
    this.isPublic = isPublic;
    this.clock = clock;
  }

  /** The first of {@link addresses}. */
  async pin(host: string, signal: AbortSignal): Promise<string> {
    const [address] = await this.addresses(host, signal);
    return address;
  }

  /**
   * The pinned addresses of a name, in the order to try them. Throws {@link HostFailure} `dns_failed` or
   * `address_not_public`, or the signal's reason.
   */
  async addresses(host: string, signal: AbortSignal): Promise<Addresses> {
    const known = this.pins.get(host);
    if (known !== undefined && this.clock.monotonic() < known.until) return known.addresses;
    this.pins.delete(host);
    const answers = await this.resolve(host, signal);
    const addresses = this.judge(answers, known?.addresses[0]);
    const ttl = Math.min(...answers.map((answer) => answer.ttl)) * 1000;
    const until = this.clock.monotonic() + Math.min(ttl, PIN_LIFETIME_MS);
    for (const oldest of this.pins.keys()) {
      if (this.pins.size < MOST_PINS) break;
      this.pins.delete(oldest);
    }
    this.pins.set(host, { addresses, until });
    return addresses;
  }

  /** Puts an address of a pin first: it could be dialled, its connections are warm. */
  prefer(host: string, address: string): void {
    const known = this.pins.get(host);
    if (known === undefined || known.addresses[0] === address || !known.addresses.includes(address)) return;
    const others = known.addresses.filter((other) => other !== address);
    this.pins.set(host, { ...known, addresses: [address, ...others] });
  }

  /** Checks a literal from a URL; the same verdict as for a resolved address. */
  literal(address: string): string {
    if (!this.isPublic(address)) throw new HostFailure("address_not_public", "address is not public");
    return address;
  }

  /** Forgets a pin that could not be dialled, so that the next call asks again. */
  forget(host: string): void {
    this.pins.delete(host);
  }

  /** The former first one when it is still among the answers; then by turns of both families (RFC 8305 §4). */
  private judge(answers: readonly DnsAnswer[], former: string | undefined): Addresses {
    const [given] = answers;
    if (given === undefined) throw new HostFailure("dns_failed", "name has no address");
    if (!answers.every((answer) => this.isPublic(answer.address)))
      throw new HostFailure("address_not_public", "name has an address that is not public");
    const all = [...new Set(answers.map(({ address }) => address))];
    const first = all.find((address) => address === former) ?? given.address;
    const rest = all.filter((address) => address !== first);
    const same = rest.filter((address) => isIP(address) === isIP(first));
    const other = rest.filter((address) => isIP(address) !== isIP(first));
    const turns = rest.flatMap((_, i) => [other[i], same[i]].filter((one) => one !== undefined));
    return [first, ...turns.slice(0, MOST_ADDRESSES - 1)];
  }
}
