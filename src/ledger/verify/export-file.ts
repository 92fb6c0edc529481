import { closeSync, openSync, readSync } from "node:fs";
import { isJsonObject, type Json, type JsonObject, parseJson } from "../../core/json.ts";
import { KeyHistory, type OpeningKeys } from "../../keys/history.ts";
import { parseCheckpoint } from "../checkpoint.ts";
import { isFault, project, readPayload } from "../entry/entry.ts";
import { leafHash, openJws } from "../entry/jws.ts";
import { LedgerError } from "../errors.ts";
import { CompactTree } from "../tree.ts";
import type { LogStart } from "./log-start.ts";
import { LogVerifier, type StoredEntry } from "./log-verifier.ts";
import type { VerifyOptions } from "./options.ts";
import type { VerifyReport } from "./report.ts";

export const EXPORT_FORMAT = "latchgate-export";

/**
 * The first line of an export: JSON, as all lines. After it one line per entry, `{"seq":n,"jws":"…"}`, in order,
 * `from` to `to`, both included.
 */
export interface ExportHead {
  readonly format: typeof EXPORT_FORMAT;
  readonly v: 1;
  readonly log: string;
  readonly from: number;
  readonly to: number;
  /** Hex leaf hash of the entry before the first; null at 0. */
  readonly prev: string | null;
  /** Hex roots of the perfect subtrees before the first, largest first: roots can be computed from them on. */
  readonly edge: readonly string[];
  /** The keys in force at `from`; null at 0, where the log's own opening names them. */
  readonly keys: OpeningKeys | null;
  /** The last checkpoint within the range; null when there is none. */
  readonly checkpoint: string | null;
}

/**
 * Verifies an export. From 0 it is checked like a ledger; later ones for form, signatures, chain and roots, while what
 * entries may say in turn needs those before. The head is only a claim: keys count by `--trust`, roots by `--anchor`.
 * Throws `export_unreadable`.
 */
export function verifyExport(path: string, options: VerifyOptions): VerifyReport {
  const lines = linesOf(path);
  const first = lines.next();
  const head = first.done === true ? null : readHead(first.value);
  if (head === null) throw unreadable(path, "its first line is not the head of an export");
  const begin = head.from === 0 ? null : startOf(head);
  if (begin === null && head.from !== 0) throw unreadable(path, "its head does not name a place in a log");
  const parsed = head.checkpoint === null ? undefined : parseCheckpoint(head.checkpoint)?.checkpoint;
  if (head.checkpoint !== null && parsed === undefined) throw unreadable(path, "its checkpoint is not one");
  const checkpoints =
    parsed === undefined || head.checkpoint === null ? [] : [{ ...parsed, note: head.checkpoint }];
  const verifier = new LogVerifier(checkpoints, options.anchors, begin);
  let seq = head.from;
  for (const line of lines) {
    verifier.take(rowOf(line, path));
    if ((++seq - head.from) % 4096 === 0) options.progress?.(seq - head.from, head.to - head.from + 1);
  }
  if (seq !== head.to + 1)
    verifier.incomplete(`the export ends before entry ${seq}, its head says ${head.to}`);
  return verifier.finish(options.trust, options.strict);
}

function unreadable(path: string, why: string): LedgerError {
  return new LedgerError("export_unreadable", `${path} cannot be read as an export: ${why}`);
}

const LIMITS = { bytes: 4_194_304, depth: 8 };

function readJson(line: string): JsonObject | null {
  try {
    const value: Json = parseJson(line, LIMITS);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}

const HEX = /^[0-9a-f]{64}$/;
const isSeq = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

function readHead(line: string): ExportHead | null {
  const value = readJson(line);
  if (value === null) return null;
  const { format, v, log, from, to, prev, edge, keys, checkpoint } = value;
  if (format !== EXPORT_FORMAT || v !== 1 || typeof log !== "string" || !isSeq(from) || !isSeq(to))
    return null;
  if (to < from || !(checkpoint === null || typeof checkpoint === "string")) return null;
  if (!Array.isArray(edge) || !edge.every((hash) => typeof hash === "string" && HEX.test(hash))) return null;
  if (!(prev === null ? from === 0 : typeof prev === "string" && HEX.test(prev))) return null;
  if (!(keys === null ? from === 0 : isJsonObject(keys))) return null;
  // Each member that is used has been looked at; keys are admitted one by one where the history is made.
  return value as unknown as ExportHead;
}

function startOf(head: ExportHead): LogStart | null {
  const tree = CompactTree.resume(
    head.from,
    head.edge.map((hash) => Buffer.from(hash, "hex")),
  );
  let history: KeyHistory | null = null;
  try {
    history = head.keys === null ? null : KeyHistory.resume(head.keys, head.from);
  } catch {
    return null; // members of a key that are missing or of another kind
  }
  if (tree === null || history === null || head.prev === null) return null;
  return { log: head.log, tree, head: head.prev, history, rules: null, roots: new Map() };
}

/** A line as the row that a ledger would have for it: an export has no projection that could differ. */
function rowOf(line: string, path: string): StoredEntry {
  const value = readJson(line);
  if (value === null || !isSeq(value.seq) || typeof value.jws !== "string")
    throw unreadable(path, "a line is not an entry");
  const { seq, jws } = value;
  const opened = openJws(jws);
  const payload = opened === null ? null : readPayload(opened.payload);
  const columns =
    payload === null || isFault(payload)
      ? {
          id: "",
          type: "",
          time_ms: 0,
          trace_id: null,
          tenant: null,
          principal: null,
          action_id: null,
          decision: null,
        }
      : project(payload);
  return { seq, jws, hash: leafHash(jws), ...columns };
}

const CHUNK = 1_048_576;

/** Lines of a file of any length, each of bounded length itself. */
function* linesOf(path: string): Generator<string> {
  const fd = openSync(path, "r");
  const decoder = new TextDecoder();
  const chunk = Buffer.alloc(CHUNK);
  let rest = "";
  try {
    for (let read = readSync(fd, chunk); read > 0; read = readSync(fd, chunk)) {
      const lines = (rest + decoder.decode(chunk.subarray(0, read), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LIMITS.bytes) throw unreadable(path, "a line is too long");
      yield* lines;
    }
  } finally {
    closeSync(fd);
  }
  if (rest !== "") throw unreadable(path, "its last line is cut off");
}
