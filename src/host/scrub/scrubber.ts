import { isJsonObject, type Json } from "../../core/json.ts";
import type { HeldAutomaton } from "./automata.ts";
import { ScrubStream } from "./stream.ts";
import { turn } from "./turn.ts";

/** Bytes of a text that are looked at before other calls get their turn. */
const SLICE = 262_144;

/** Takes the credentials of one call out of everything that comes back to it, and counts. */
export class Scrubber {
  private readonly held: HeldAutomaton;
  private released = false;
  private count = 0;

  /** @param held of the credentials, and the parts of them that are secret by themselves; none shorter than 8 bytes */
  constructor(held: HeldAutomaton) {
    this.held = held;
  }

  /** Places in which something was taken out so far. */
  get hits(): number {
    return this.count;
  }

  /** For a text that comes in pieces; {@link finish} takes its last bytes and its count. */
  stream(): ScrubStream {
    this.check();
    return new ScrubStream(this.held.automaton);
  }

  finish(stream: ScrubStream): Buffer {
    const rest = stream.end();
    this.count += stream.hits;
    return rest;
  }

  /** A header value, one character per byte (RFC 9110 §5.5). */
  header(value: string): string {
    return this.whole(Buffer.from(value, "latin1"))?.toString("latin1") ?? value;
  }

  /** A short text; one that is cut may end within a credential. */
  line(value: string, cut: boolean): string {
    const stream = this.stream();
    const first = stream.push(Buffer.from(value, "utf8"));
    const rest = cut ? stream.cut() : stream.end();
    this.count += stream.hits;
    return stream.hits === 0 ? value : Buffer.concat([first, rest]).toString("utf8");
  }

  /** Every text of a JSON value, names of members as well. Yields to other calls on the way. */
  async json(value: Json): Promise<Json> {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) {
      const items: Json[] = [];
      for (const item of value)
        items.push(typeof item === "object" || typeof item === "string" ? await this.json(item) : item);
      return items;
    }
    if (!isJsonObject(value)) return value;
    const members: [string, Json][] = [];
    for (const [name, member] of Object.entries(value))
      members.push([
        this.whole(Buffer.from(name, "utf8"))?.toString("utf8") ?? name,
        typeof member === "object" || typeof member === "string" ? await this.json(member) : member,
      ]);
    return Object.fromEntries(members);
  }

  /** Nothing is searched from here on; the automaton is overwritten unless another call comes soon. */
  release(): void {
    this.released = true;
    this.held.release();
  }

  private check(): void {
    if (this.released) throw new Error("the credentials are gone");
  }

  private async text(value: string): Promise<string> {
    const bytes = Buffer.from(value, "utf8");
    if (bytes.length <= SLICE) return this.whole(bytes)?.toString("utf8") ?? value;
    const stream = this.stream();
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += SLICE) {
      parts.push(stream.push(bytes.subarray(at, at + SLICE)));
      await turn();
      this.check();
    }
    parts.push(this.finish(stream));
    return stream.hits === 0 ? value : Buffer.concat(parts).toString("utf8");
  }

  /** Null when there was nothing in it. */
  private whole(bytes: Buffer): Buffer | null {
    const stream = this.stream();
    const first = stream.push(bytes);
    const rest = this.finish(stream);
    return stream.hits === 0 ? null : Buffer.concat([first, rest]);
  }
}
