import { expect, test } from "bun:test";
import { RecentProofs } from "../../src/ledger/verify/recent-proofs.ts";

const START = Date.parse("2026-01-01T00:00:00.000Z");
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();

test("a proof counts once within the time in which it could be granted, wherever that falls", () => {
  for (const first of [0, 100, 299, 300, 301, 599]) {
    const proofs = new RecentProofs();
    expect(proofs.first("start", at(0))).toBe(true);
    expect(proofs.first("a", at(first))).toBe(true);
    for (const later of [0, 1, 65, 299]) expect(proofs.first("a", at(first + later))).toBe(false);
  }
});

test("a clock that goes back forgets nothing", () => {
  const proofs = new RecentProofs();
  expect(proofs.first("a", at(1000))).toBe(true);
  expect(proofs.first("b", at(0))).toBe(true);
  expect(proofs.first("a", at(0))).toBe(false);
  expect(proofs.first("a", at(1001))).toBe(false);
});

test("what is old is forgotten: memory depends on the rate alone", () => {
  const proofs = new RecentProofs();
  for (let i = 0; i < 100; i++) expect(proofs.first("a", at(i * 601))).toBe(true);
});
