import { expect, test } from "bun:test";
import { isUuidV7, uuidv7Maker } from "../../src/core/ids.ts";

const fixed = (byte: number) => (into: Uint8Array) => {
  into.fill(byte);
};

test("the layout is that of rfc 9562 §5.7", () => {
  const make = uuidv7Maker(() => 0x0123456789ab, fixed(0xff));
  expect(make()).toBe("01234567-89ab-7000-bfff-ffffffffffff");
  expect(uuidv7Maker(() => 1, fixed(0))()).toBe("00000000-0001-7000-8000-000000000000");
});

test("ids increase within a millisecond, across it, when the counter is full and when the clock goes back", () => {
  let now = 1_700_000_000_000;
  const make = uuidv7Maker(() => now);
  let last = "";
  for (let i = 0; i < 10_000; i++) {
    if (i === 6000) now -= 5000;
    if (i === 8000) now += 60_000;
    const id = make();
    expect(isUuidV7(id)).toBe(true);
    expect(id > last).toBe(true);
    last = id;
  }
});

test.each([
  "01234567-89AB-7000-bfff-ffffffffffff",
  "01234567-89ab-4000-bfff-ffffffffffff",
  "01234567-89ab-7000-cfff-ffffffffffff",
  "0123456789ab7000bfffffffffffffff",
  "01234567-89ab-7000-bfff-ffffffffffff\n",
  "",
])("%j is no uuidv7", (text) => {
  expect(isUuidV7(text)).toBe(false);
});
