import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { Automata, type AutomataOptions } from "../../../src/host/scrub/automata.ts";
import { Automaton } from "../../../src/host/scrub/automaton.ts";
import { formsOf } from "../../../src/host/scrub/forms.ts";
import { Scrubber } from "../../../src/host/scrub/scrubber.ts";
import { until } from "../../e2e/upstream-server.ts";

const ONE = Buffer.from("the-first-secret");
const OTHER = Buffer.from("the-second-secret");
const opened: Automata[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

/** Automata under a clock that stands until it is moved, and counts who asks it. */
function scene(options: Partial<AutomataOptions> = {}) {
  let now = 0;
  let asked = 0;
  const monotonic = () => {
    asked += 1;
    return now;
  };
  const automata = new Automata({ clock: { now: Date.now, monotonic }, ...options });
  opened.push(automata);
  return {
    automata,
    asked: () => asked,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

const TABLES = ["root", "firstChild", "sibling", "byte", "fallback", "depth", "match"] as const;
const tells = (automaton: Automaton) =>
  TABLES.filter((name) => (automaton[name] as Uint8Array).some((cell) => cell !== 0));

describe("the automaton of the same values is made once", () => {
  test("whether it is in use, or was a moment ago", async () => {
    const { automata, pass } = scene();
    const [first, second] = await Promise.all([automata.hold([ONE]), automata.hold([Buffer.from(ONE)])]);
    expect(second.automaton).toBe(first.automaton);
    first.release();
    second.release();
    pass(29_999);
    const third = await automata.hold([ONE]);
    expect([third.automaton === first.automaton, automata.count]).toEqual([true, 1]);
    expect(tells(third.automaton)).toEqual([...TABLES]);
  });

  test("and never that of others: other values, fewer, more, in another order, or cut at another place", async () => {
    const { automata } = scene();
    const cut = [Buffer.concat([ONE, OTHER.subarray(0, 1)]), OTHER.subarray(1)];
    const lists = [[ONE], [OTHER], [ONE, OTHER], [OTHER, ONE], [ONE, ONE], cut];
    const held = await Promise.all(lists.map((values) => automata.hold(values)));
    expect(new Set(held.map(({ automaton }) => automaton)).size).toBe(lists.length);
  });
});

describe("what nobody uses is overwritten", () => {
  test("after its time, and not before", async () => {
    const { automata, pass, asked } = scene({ idleMs: 2 });
    const held = await automata.hold([ONE]);
    pass(1000);
    held.release();
    const before = asked();
    // The timer runs by the machine's clock, and asks ours.
    await until(asked, (count) => count > before + 2, Number.POSITIVE_INFINITY);
    expect(tells(held.automaton)).toEqual([...TABLES]);
    pass(2);
    await until(
      () => automata.count,
      (count) => count === 0,
      Number.POSITIVE_INFINITY,
    );
    expect(tells(held.automaton)).toEqual([]);
    const again = await automata.hold([ONE]);
    expect([again.automaton === held.automaton, tells(again.automaton)]).toEqual([false, [...TABLES]]);
  });

  test("when there is too much of it, the longest idle first; nothing that is in use", async () => {
    const size = Automaton.of(formsOf(ONE)).size;
    const { automata } = scene({ mostIdleBytes: 2.5 * size });
    const values = [1, 2, 3, 4].map((n) => Buffer.from(`a-secret-of-16-${n}`));
    const held = await Promise.all(values.map((value) => automata.hold([value])));
    const [first, second, third, fourth] = held;
    for (const one of [third, first, second]) one?.release();
    expect(held.map((one) => tells(one.automaton).length > 0)).toEqual([true, true, false, true]);
    fourth?.release();
    expect(held.map((one) => tells(one.automaton).length > 0)).toEqual([false, true, false, true]);
  });

  test("at the end; what is in use, once it is released", async () => {
    const { automata } = scene();
    const [idle, used, twice] = await Promise.all([
      automata.hold([ONE]),
      automata.hold([OTHER]),
      automata.hold([OTHER]),
    ]);
    idle.release();
    automata.close();
    expect([tells(idle.automaton), tells(used.automaton)]).toEqual([[], [...TABLES]]);
    used.release();
    used.release();
    expect(tells(used.automaton)).toEqual([...TABLES]);
    twice.release();
    expect([tells(used.automaton), automata.count]).toEqual([[], 0]);
  });
});

/** How often other work got its turn before this was done. */
async function turnsOf(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const ended = work.finally(() => {
    done = true;
  });
  while (!done) {
    turns += 1;
    await new Promise((next) => setImmediate(next));
  }
  await ended;
  return turns;
}

test("patterns are inserted and linked in parts, and other work runs in between", async () => {
  const patterns = [1, 2, 3, 4].map((first) => Buffer.alloc(60_000, randomBytes(59_999)).fill(first, 0, 1));
  // Four to insert, and 240,000 states to link.
  expect(await turnsOf(Automaton.inTurns(patterns))).toBeGreaterThanOrEqual(4 + 7);
});

test("a long value is spelled out in parts as well", async () => {
  const { automata } = scene();
  // Characters that every encoder has a spelling of its own for.
  const value = Buffer.from(Array.from(randomBytes(8192), (byte) => 0x21 + (byte % 94)));
  const patterns = formsOf(value);
  const made = automata.hold([value]);
  const [both, links] = await Promise.all([turnsOf(made), turnsOf(Automaton.inTurns(patterns))]);
  expect(both).toBeGreaterThan(links + 10);
  const scrubber = new Scrubber(await made);
  for (const form of patterns) {
    const stream = scrubber.stream();
    const clean = Buffer.concat([stream.push(Buffer.concat([Buffer.from("x"), form])), stream.end()]);
    expect(clean.includes(form)).toBe(false);
  }
});

test("property: made in parts or at once, it is the same", async () => {
  const letters = fc.array(fc.constantFrom(..."abc"), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.array(letters, { minLength: 1, maxLength: 6 }), async (given) => {
      const patterns = given.map((one) => Buffer.from(one.join("")));
      const [parts, whole] = [await Automaton.inTurns(patterns), Automaton.of(patterns)];
      for (const name of TABLES) expect(parts[name]).toEqual(whole[name]);
    }),
    { seed: 5, numRuns: 200 },
  );
});
