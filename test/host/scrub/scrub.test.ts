import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Automaton } from "../../../src/host/scrub/automaton.ts";
import { formsOf } from "../../../src/host/scrub/forms.ts";
import { Scrubber } from "../../../src/host/scrub/scrubber.ts";
import { ScrubStream } from "../../../src/host/scrub/stream.ts";

/** A scrubber of its own automaton. */
function scrubberOf(...values: readonly Uint8Array[]): Scrubber {
  const automaton = Automaton.of(values.flatMap((value) => formsOf(value)));
  return new Scrubber({ automaton, release: () => automaton.clear() });
}

const SECRET = 'pa/ss+w\u00f6rd "<&> 42%';

function scrubbed(text: string | Uint8Array, ...values: string[]): string {
  const scrubber = scrubberOf(...values.map((value) => Buffer.from(value)));
  const stream = scrubber.stream();
  const first = stream.push(Buffer.from(text as Uint8Array));
  return Buffer.concat([first, scrubber.finish(stream)]).toString();
}

/** A stream over the patterns as they are, in pieces of the given lengths. */
function streamed(text: Buffer, patterns: readonly Buffer[], cuts: readonly number[]) {
  const stream = new ScrubStream(Automaton.of(patterns));
  const parts: Buffer[] = [];
  let at = 0;
  for (const cut of cuts) {
    parts.push(stream.push(text.subarray(at, at + cut)));
    at += cut;
  }
  parts.push(stream.push(text.subarray(at)), stream.end());
  return { text: Buffer.concat(parts).toString("latin1"), hits: stream.hits };
}

/** The same by looking at every place for every pattern. */
function naive(text: Buffer, patterns: readonly Buffer[]) {
  const ends: number[] = [];
  for (let from = 0; from < text.length; from++)
    for (const pattern of patterns)
      if (text.subarray(from, from + pattern.length).equals(pattern))
        ends[from] = Math.max(ends[from] ?? 0, from + pattern.length);
  let out = "";
  let hits = 0;
  for (let at = 0; at < text.length; ) {
    let end = ends[at] ?? 0;
    if (end === 0) {
      out += String.fromCharCode(text[at] ?? 0);
      at += 1;
      continue;
    }
    for (let next = at; next < end; next++) end = Math.max(end, ends[next] ?? 0);
    out += "[redacted]";
    hits += 1;
    at = end;
  }
  return { text: out, hits };
}

describe("a credential is found in every spelling that programs have for it", () => {
  const bytes = Buffer.from(SECRET);
  const spellings: readonly (readonly [string, string])[] = [
    ["raw", SECRET],
    ["hex", bytes.toString("hex")],
    ["hex in upper case", bytes.toString("hex").toUpperCase()],
    ["encodeURIComponent", encodeURIComponent(SECRET)],
    ["percent in lower case", encodeURIComponent(SECRET).replace(/%../g, (found) => found.toLowerCase())],
    ["a form field", new URLSearchParams({ a: SECRET }).toString().slice(2)],
    ["every byte percent-encoded", bytes.toString("hex").toUpperCase().replace(/../g, "%$&")],
    ["json", JSON.stringify(SECRET).slice(1, -1)],
    ["json with escaped slashes", JSON.stringify(SECRET).slice(1, -1).replaceAll("/", "\\/")],
    ["json in ascii", JSON.stringify(SECRET).slice(1, -1).replaceAll("\u00f6", "\\u00f6")],
    [
      "json as go writes it",
      JSON.stringify(SECRET)
        .slice(1, -1)
        .replaceAll("<", "\\u003c")
        .replaceAll(">", "\\u003e")
        .replaceAll("&", "\\u0026"),
    ],
    [
      "html",
      SECRET.replaceAll("&", "&amp;")
        .replaceAll("<", "&lt;")
        .replaceAll(">", "&gt;")
        .replaceAll('"', "&quot;"),
    ],
  ];
  test.each(spellings.map(([name, spelling]) => ({ name, spelling })))("$name", ({ spelling }) => {
    expect(scrubbed(`before ${spelling} after`, SECRET)).toBe("before [redacted] after");
  });

  test("as template engines and the writers of other languages have it", () => {
    const value = "AK/ab+cd=='`\"<&>~!(x) 9";
    const names = (map: Readonly<Record<string, string>>) =>
      value.replace(/[^A-Za-z0-9 ]/g, (one) => map[one] ?? one);
    const code = (set: string, upper: boolean) =>
      value.replace(/[^A-Za-z0-9 ]/g, (one) => {
        const hex = one.charCodeAt(0).toString(16).padStart(4, "0");
        return set.includes(one) ? `\\u${upper ? hex.toUpperCase() : hex}` : one;
      });
    const some = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
    const percent = (kept: RegExp) =>
      value.replace(/[^A-Za-z0-9]/g, (one) =>
        kept.test(one) ? one : `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
      );
    const spellings = {
      mustache: names({ ...some, '"': "&quot;", "'": "&#39;", "/": "&#x2F;", "`": "&#x60;", "=": "&#x3D;" }),
      "go html": names({ ...some, '"': "&#34;", "'": "&#39;", "+": "&#43;" }),
      "dotnet html": names({ ...some, '"': "&quot;", "'": "&#x27;", "+": "&#x2B;" }),
      php: names({ ...some, '"': "&quot;", "'": "&#039;" }),
      "dotnet json": code("<>&'+`\"", true),
      "php json": code("<>&'\"", true).replaceAll("/", "\\/"),
      "python quote": percent(/[~/]/),
      "whatwg query": percent(/[!$-&(-;=?-~]/),
      "base64 in a lower-case query": encodeURIComponent(btoa(value)).replace(/%../g, (one) =>
        one.toLowerCase(),
      ),
    };
    for (const [name, spelling] of Object.entries(spellings))
      expect([name, scrubbed(`before ${spelling}`, value)]).toEqual([
        name,
        expect.stringMatching(/^before \[redacted\].?(?:%3d|=)*$/),
      ]);
    for (const wide of [Buffer.from(value, "utf16le"), Buffer.from(value, "utf16le").swap16()])
      expect(scrubbed(wide, value)).toBe("[redacted]");
  });

  test.each(["base64", "base64url"] as const)("%s, at each alignment and with neighbours", (encoding) => {
    for (let before = 0; before < 7; before++)
      for (const after of ["", "x", "xy", "xyz"]) {
        const encoded = Buffer.from("k".repeat(before) + SECRET + after).toString(encoding);
        const clean = scrubbed(`{"a":"${encoded}"}`, SECRET);
        expect(clean).toContain("[redacted]");
        // What is left says at most the bits that share a character with a neighbour.
        const left = clean.replace("[redacted]", "").length - '{"a":""}'.length;
        expect(left).toBeLessThanOrEqual(Math.ceil(((before + Buffer.byteLength(after)) * 4) / 3) + 5);
      }
  });

  test("several values, several times", () => {
    expect(scrubbed("a first-value b second-value c first-value", "first-value", "second-value")).toBe(
      "a [redacted] b [redacted] c [redacted]",
    );
  });

  test("property: any value, in any of its own forms, is not there afterwards", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 40 }), fc.string(), (value, around) => {
        for (const form of formsOf(value)) {
          const scrubber = scrubberOf(value);
          const stream = scrubber.stream();
          const text = Buffer.concat([Buffer.from(around), form, Buffer.from(around)]);
          const clean = Buffer.concat([stream.push(text), scrubber.finish(stream)]);
          if (!Buffer.from(around).includes(Buffer.from(value)))
            expect(clean.includes(Buffer.from(form))).toBe(false);
          expect(scrubber.hits).toBeGreaterThan(0);
        }
      }),
      { seed: 11, numRuns: 60 },
    );
  });
});

describe("a stream gives the same whatever its pieces are", () => {
  const letters = fc.array(fc.constantFrom(..."abc"), { minLength: 1, maxLength: 6 });
  const patterns = fc.array(letters, { minLength: 1, maxLength: 4 });
  const texts = fc.array(fc.constantFrom(..."abcd"), { maxLength: 80 });

  test("property: as a search of every place for every pattern, cut anywhere", () => {
    fc.assert(
      fc.property(patterns, texts, fc.array(fc.nat(9), { maxLength: 30 }), (given, text, cuts) => {
        const wanted = given.map((one) => Buffer.from(one.join("")));
        const bytes = Buffer.from(text.join(""));
        expect(streamed(bytes, wanted, cuts)).toEqual(naive(bytes, wanted));
      }),
      { seed: 7, numRuns: 3000 },
    );
  });

  test("a match that grows without end is one place, and none of it is kept", () => {
    const stream = new ScrubStream(Automaton.of([Buffer.from("aaaaaaaa")]));
    let out = stream.push(Buffer.from("x")).toString();
    for (let i = 0; i < 1000; i++) {
      out += stream.push(Buffer.alloc(1000, "a")).toString();
      expect((Reflect.get(stream, "held") as Buffer).length).toBeLessThanOrEqual(8);
    }
    out += stream.push(Buffer.from("y")).toString() + stream.end().toString();
    expect([out, stream.hits]).toEqual(["x[redacted]y", 1]);
  });

  test("property: never more is held back than the longest pattern has", () => {
    fc.assert(
      fc.property(patterns, texts, (given, text) => {
        const longest = Math.max(...given.map((one) => one.length));
        const stream = new ScrubStream(Automaton.of(given.map((one) => Buffer.from(one.join("")))));
        for (const letter of text) {
          stream.push(Buffer.from(letter));
          expect((Reflect.get(stream, "held") as Buffer).length).toBeLessThanOrEqual(longest);
        }
      }),
      { seed: 3, numRuns: 500 },
    );
  });

  test("falls back at most once for each byte, on the text that other searches are slow on", () => {
    const automaton = Automaton.of([Buffer.from(`${"a".repeat(200)}b`), Buffer.from(`${"a".repeat(100)}c`)]);
    let falls = 0;
    const fallback = new Proxy(automaton.fallback, {
      get: (target, key) => {
        if (typeof key === "string" && /^\d+$/.test(key)) falls += 1;
        return Reflect.get(target, key);
      },
    });
    const counted = Object.create(automaton, { fallback: { value: fallback } }) as Automaton;
    const stream = new ScrubStream(counted);
    stream.push(Buffer.from(`${"a".repeat(199)}d`.repeat(50)));
    expect(falls).toBeGreaterThan(5000);
    expect(falls).toBeLessThanOrEqual(10_000);
  });
});

describe("what a component says", () => {
  test("texts and names of members, deep down; numbers and the rest stay", async () => {
    const scrubber = scrubberOf(Buffer.from("the-secret"));
    const said = {
      list: ["the-secret", 1, null, true, { "the-secret": Buffer.from("xthe-secret").toString("base64") }],
    };
    const clean = JSON.stringify(await scrubber.json(said));
    expect(clean).toStartWith('{"list":["[redacted]",1,null,true,{"[redacted]":"');
    expect(Buffer.from(clean).includes(Buffer.from("xthe-secret").toString("base64").slice(2, -2))).toBe(
      false,
    );
    expect(scrubber.hits).toBe(3);
  });

  test("a long text across its slices, and one without a hit is the same text", async () => {
    const scrubber = scrubberOf(Buffer.from("the-secret"));
    const long = "z".repeat(262_140);
    expect(await scrubber.json(`${long}the-secret${long}`)).toBe(`${long}[redacted]${long}`);
    expect(await scrubber.json(long + long)).toBe(long + long);
  });

  test("once released, nothing goes through unsearched", async () => {
    const scrubber = scrubberOf(Buffer.from("the-secret"));
    const long = scrubber.json("z".repeat(1_000_000));
    scrubber.release();
    await expect(scrubber.json("the-secret")).rejects.toThrow("the credentials are gone");
    await expect(long).rejects.toThrow("the credentials are gone");
  });
});

test("a value that uses every byte is searched for as well", () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const scrubber = scrubberOf(value);
  const stream = scrubber.stream();
  const clean = Buffer.concat([
    stream.push(Buffer.concat([Buffer.from("x"), value])),
    scrubber.finish(stream),
  ]);
  expect(clean.toString()).toBe("x[redacted]");
});
