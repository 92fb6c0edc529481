import type { Clock } from "../../core/clock.ts";
import { HostFailure } from "../failure.ts";
import type { DnsAnswer, Resolve } from "./resolver.ts";

/** Longest time that a resolved and judged address is used before the name is asked again. */
export const PIN_LIFETIME_MS = 60_000;
const MOST_PINS = 1024;

interface Pin {
  readonly address: string;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/**
 * From names to the one address that will be dialled. Every answer must be public, or none is used: a name that
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

  /**
   * The pinned address of a name. Throws {@link HostFailure} `dns_failed` or `address_not_public`, or the signal's
   * reason.
   */
  async pin(host: string, signal: AbortSignal): Promise<string> {
    const known = this.pins.get(host);
    if (known !== undefined && this.clock.monotonic() < known.until) return known.address;
    this.pins.delete(host);
    const answers = await this.resolve(host, signal);
    const address = this.judge(answers, known?.address);
    const ttl = Math.min(...answers.map((answer) => answer.ttl)) * 1000;
    const until = this.clock.monotonic() + Math.min(ttl, PIN_LIFETIME_MS);
    for (const oldest of this.pins.keys()) {
      if (this.pins.size < MOST_PINS) break;
      this.pins.delete(oldest);
    }
    this.pins.set(host, { address, until });
    return address;
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

  /** The former pin when it is still among the answers: its connections are warm. Else the first answer. */
  private judge(answers: readonly DnsAnswer[], former: string | undefined): string {
    const [first] = answers;
    if (first === undefined) throw new HostFailure("dns_failed", "name has no address");
    if (!answers.every((answer) => this.isPublic(answer.address)))
      throw new HostFailure("address_not_public", "name has an address that is not public");
    return answers.find((answer) => answer.address === former)?.address ?? first.address;
  }
}
