import type { Json } from "../../core/json.ts";
import type { HeldAutomaton } from "./automata.ts";
import type { Automaton } from "./automaton.ts";
import { Scrubber } from "./scrubber.ts";

/**
 * The scrubbers of one door. Its calls open the same credentials as a rule and then share one; a credential that was
 * changed between two of them is looked for in both forms to the end.
 */
export class Scrubbers {
  private readonly known = new Map<Automaton, Scrubber>();

  /** Takes over what is held: one automaton is held once, until {@link release}. */
  of(held: HeldAutomaton): Scrubber {
    const known = this.known.get(held.automaton);
    if (known !== undefined) {
      held.release();
      return known;
    }
    const scrubber = new Scrubber(held);
    this.known.set(held.automaton, scrubber);
    return scrubber;
  }

  /** Places in which something was taken out so far. */
  get hits(): number {
    return [...this.known.values()].reduce((sum, { hits }) => sum + hits, 0);
  }

  async json(value: Json): Promise<Json> {
    let clean = value;
    for (const scrubber of this.known.values()) clean = await scrubber.json(clean);
    return clean;
  }

  /** See `Scrubber.line`. */
  line(value: string, cut: boolean): string {
    return [...this.known.values()].reduce((clean, scrubber) => scrubber.line(clean, cut), value);
  }

  release(): void {
    for (const scrubber of this.known.values()) scrubber.release();
  }
}
