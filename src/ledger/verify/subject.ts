import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { LedgerError } from "../errors.ts";
import { CONSISTENCY_HEADER } from "../proof/consistency-file.ts";
import { EXPORT_FORMAT } from "./export-file.ts";

/** What a file is, by its first bytes; the name says nothing. */
export type Subject =
  | { readonly kind: "ledger" | "export" }
  | { readonly kind: "entry" | "proof" | "consistency"; readonly text: string };

const PROOF = "c2sp.org/tlog-proof@v1\n";
const CONSISTENCY = `${CONSISTENCY_HEADER}\n`;
const EXPORT = `{"format":"${EXPORT_FORMAT}",`;
const ENTRY = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\n?$/;
/** Longest entry or proof that is read whole, in bytes. */
const LONGEST = 4_194_304;

/** Looks at a file. Whatever is not an entry, a proof or an export is left to be opened as a ledger. */
export function subjectOf(path: string): Subject {
  if (!existsSync(path)) throw new LedgerError("ledger_unreadable", `there is no file ${path}`);
  const file = statSync(path);
  if (!file.isFile()) return { kind: "ledger" };
  const start = startOfFile(path);
  if (start.startsWith(EXPORT)) return { kind: "export" };
  if (file.size > LONGEST) return { kind: "ledger" };
  if (start.startsWith(PROOF)) return { kind: "proof", text: readFileSync(path, "utf8") };
  if (start.startsWith(CONSISTENCY)) return { kind: "consistency", text: readFileSync(path, "utf8") };
  if (!start.startsWith("eyJ")) return { kind: "ledger" };
  const text = readFileSync(path, "latin1");
  return ENTRY.test(text) ? { kind: "entry", text: text.trimEnd() } : { kind: "ledger" };
}

function startOfFile(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new LedgerError("ledger_unreadable", `cannot read ${path}`, { cause });
  }
  try {
    const bytes = Buffer.alloc(64);
    return bytes.toString("latin1", 0, readSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
}
