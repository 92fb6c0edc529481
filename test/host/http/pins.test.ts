import { expect, test } from "bun:test";
import { isPublicAddress } from "../../../src/host/http/addresses.ts";
import { Pins } from "../../../src/host/http/pins.ts";
import type { DnsAnswer } from "../../../src/host/http/resolver.ts";

const never = new AbortController().signal;

/** Pins over a scripted name, on a clock that stands where the test puts it. */
function scripted(...answers: (readonly DnsAnswer[])[]) {
  const time = { ms: 0, asked: 0 };
  const clock = { now: () => time.ms, monotonic: () => time.ms };
  const pins = new Pins(async () => answers[time.asked++] ?? [], isPublicAddress, clock);
  return { pins, time };
}

function answers(ttl: number, ...addresses: string[]): DnsAnswer[] {
  return addresses.map((address) => ({ address, ttl }));
}

test("a pin holds for its time to live, and never longer than a minute", async () => {
  const { pins, time } = scripted(answers(30, "8.8.8.8"), answers(3600, "8.8.4.4"), answers(5, "1.1.1.1"));
  const at = async (ms: number) => {
    time.ms = ms;
    return [await pins.pin("a.example", never), time.asked];
  };
  expect(await at(0)).toEqual(["8.8.8.8", 1]);
  expect(await at(29_999)).toEqual(["8.8.8.8", 1]);
  expect(await at(30_000)).toEqual(["8.8.4.4", 2]);
  expect(await at(89_999)).toEqual(["8.8.4.4", 2]);
  expect(await at(90_000)).toEqual(["1.1.1.1", 3]);
});

test("a name that turns private after its pin has run out is refused, and stays so", async () => {
  const { pins, time } = scripted(answers(1, "8.8.8.8"), answers(60, "127.0.0.1"), answers(60, "127.0.0.1"));
  expect(await pins.pin("a.example", never)).toBe("8.8.8.8");
  time.ms = 1000;
  expect(pins.pin("a.example", never)).rejects.toMatchObject({ code: "address_not_public" });
  expect(pins.pin("a.example", never)).rejects.toMatchObject({ code: "address_not_public" });
});

test("one private answer spoils all", async () => {
  const { pins } = scripted(answers(60, "8.8.8.8", "10.0.0.1"), answers(60, "8.8.8.8", "::1"), []);
  expect(pins.pin("a.example", never)).rejects.toMatchObject({ code: "address_not_public" });
  expect(pins.pin("b.example", never)).rejects.toMatchObject({ code: "address_not_public" });
  expect(pins.pin("c.example", never)).rejects.toMatchObject({ code: "dns_failed" });
});

test("a renewed pin keeps the former address while it is among the answers", async () => {
  const { pins, time } = scripted(
    answers(1, "8.8.8.8", "8.8.4.4"),
    answers(1, "8.8.4.4", "8.8.8.8"),
    answers(1, "8.8.4.4"),
  );
  const seen: string[] = [];
  for (time.ms = 0; time.ms < 3000; time.ms += 1000) seen.push(await pins.pin("a.example", never));
  expect(seen).toEqual(["8.8.8.8", "8.8.8.8", "8.8.4.4"]);
});

test("a forgotten pin is asked again", async () => {
  const { pins, time } = scripted(answers(60, "8.8.8.8"), answers(60, "8.8.4.4"));
  await pins.pin("a.example", never);
  pins.forget("a.example");
  expect([await pins.pin("a.example", never), time.asked]).toEqual(["8.8.4.4", 2]);
});

test("the store of pins is bounded and lets the oldest go", async () => {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return answers(60, "8.8.8.8");
  };
  const pins = new Pins(resolve, isPublicAddress, { now: () => 0, monotonic: () => 0 });
  for (let i = 0; i <= 1024; i++) await pins.pin(`h${i}.example`, never);
  await pins.pin("h1024.example", never);
  await pins.pin("h0.example", never);
  expect(asked.slice(1024)).toEqual(["h1024.example", "h0.example"]);
});
