import { createHash } from "node:crypto";
import type { Json } from "../../core/json.ts";
import { Scrubber } from "./scrubber.ts";

/**
 * The scrubbers of one door. Its calls open the same credentials as a rule and then share one; a credential that was
 * changed between two of them is looked for in both forms to the end.
 */
export class Scrubbers {
  private readonly known = new Map<string, Scrubber>();

  /** Null when there is nothing to look for. */
  of(values: readonly Uint8Array[]): Scrubber | null {
    if (values.length === 0) return null;
    const hash = createHash("sha256");
    for (const value of values) hash.update(`${value.length} `).update(value);
    const key = hash.digest("hex");
    const scrubber = this.known.get(key) ?? new Scrubber(values);
    this.known.set(key, scrubber);
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

  clear(): void {
    for (const scrubber of this.known.values()) scrubber.clear();
  }
}
