import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { problemsOf } from "./manifests.ts";

const page = readFileSync(join(import.meta.dir, "..", "..", "docs", "actions.md"), "utf8");

test("the manifest that the guide opens with is sound", () => {
  const example = /```yaml\n(# yaml-language-server[\s\S]*?)```/.exec(page)?.[1] ?? "";
  expect(example).toContain("id: status_report");
  expect(problemsOf(example)).toEqual([]);
});
