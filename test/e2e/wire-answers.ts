/** What the tests of the wire have in common. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../gate-process.ts";
import type { WireAnswer } from "../wire-client.ts";

/** How many actions the catalogue has: each is a file. */
export const CATALOGUE_SIZE = readdirSync(join(ROOT, "providers/actions")).length;

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const HASH = /^sha256:[0-9a-f]{64}$/;
export const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z$/;
/** The principal that the account of these tests is. */
export const ME = `uid:${process.getuid?.()}`;

/** Matching writes the matchers that it met into the value; what is used afterwards is matched as a copy. */
export const copy = <T>(value: T): T => structuredClone(value);

/** The key id that a fingerprint spells out. */
export const kidOf = (fingerprint: string) => fingerprint.replace(/^SHA256:/, "");

/** Every error is JSON with a code and a text for people, and tells nothing internal. */
export function expectError(answer: WireAnswer, status: number, code: string): void {
  expect([answer.status, answer.body?.error]).toEqual([status, code]);
  expect(answer.headers["content-type"]).toBe("application/json");
  expect(answer.body.message).toBeString();
  expect(Object.keys(answer.body)[0]).toBe("error");
  // Gates of tests live there.
  expect(answer.text).not.toContain(tmpdir());
  expect(answer.text).not.toMatch(/\bat .+:\d+:\d+|node_modules|\.ts\b/);
}
