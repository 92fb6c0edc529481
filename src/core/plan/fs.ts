import type { JsonObject } from "../json.ts";
import { decodeBytes, encodeBytes } from "./stored-bytes.ts";

export type FsOperation = "read" | "create" | "overwrite" | "delete";

export interface FsPlan {
  readonly kind: "fs";
  readonly operation: FsOperation;
  /** Absolute path of the root folder that the path is beneath. */
  readonly root: string;
  /** Relative, `/`-separated, no empty, `.` or `..` segments. */
  readonly path: string;
  /** For create and overwrite. */
  readonly content: Uint8Array | null;
  /** Lower-case hex SHA-256 that the old content must have; overwrite and delete only. */
  readonly expectedBeforeHash: string | null;
  /** Globs; deny wins. Part of the plan, so that no path through the gate can lose them. */
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly maxFileBytes: number;
}

export function fsPlanToJson(plan: FsPlan) {
  return {
    kind: plan.kind,
    operation: plan.operation,
    root: plan.root,
    path: plan.path,
    content: encodeBytes(plan.content),
    expected_before_hash: plan.expectedBeforeHash,
    allow: [...plan.allow],
    deny: [...plan.deny],
    max_file_bytes: plan.maxFileBytes,
  } satisfies JsonObject;
}

export function fsPlanFromJson(stored: ReturnType<typeof fsPlanToJson>): FsPlan {
  const { content, expected_before_hash: expectedBeforeHash, max_file_bytes: maxFileBytes, ...plan } = stored;
  return { ...plan, content: decodeBytes(content), expectedBeforeHash, maxFileBytes };
}
