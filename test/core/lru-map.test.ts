import { expect, test } from "bun:test";
import { LruMap } from "../../src/core/lru-map.ts";

test("the entry that was used least recently makes room", () => {
  const map = new LruMap<string, number>(2);
  map.set("a", 1);
  map.set("b", 2);
  expect(map.get("a")).toBe(1);
  map.set("c", 3);
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual([1, undefined, 3]);
  expect(map.size).toBe(2);
});

test("setting an entry again uses it and takes no further room", () => {
  const map = new LruMap<string, number>(2);
  map.set("a", 1);
  map.set("b", 2);
  map.set("a", 3);
  expect(map.oldest()).toEqual(["b", 2]);
  map.set("c", 4);
  expect([map.get("a"), map.get("b")]).toEqual([3, undefined]);
});

test("deleting and clearing", () => {
  const map = new LruMap<string, number>(2);
  map.set("a", 1);
  expect(map.delete("a")).toBe(true);
  expect(map.delete("a")).toBe(false);
  map.set("b", 2);
  map.clear();
  expect(map.size).toBe(0);
  expect(map.oldest()).toBeUndefined();
});

test("a capacity below one is refused", () => {
  for (const capacity of [0, -1, 1.5]) expect(() => new LruMap(capacity)).toThrow("capacity");
});
