import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { exportLines } from "../ledger/export.ts";
import { openLedgerFile } from "../ledger/verify/open-file.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { EndedError, EXIT, UsageError } from "./exit-code.ts";
import { note, printJson, writeOut } from "./output.ts";
import { projectLedger } from "./project-ledger.ts";

export default defineCommand({
  meta: {
    name: "export",
    description: "Write a range of the log that can be verified by itself, as JSON lines",
  },
  args: {
    file: {
      type: "positional",
      description: "A ledger file; that of the project by default",
      valueHint: "FILE",
      required: false,
    },
    from: { type: "string", description: "First entry; 0 by default", valueHint: "SEQ" },
    to: {
      type: "string",
      description: "Last entry, included; the last of the log by default",
      valueHint: "SEQ",
    },
    out: { type: "string", description: "New file to write, in place of stdout", valueHint: "FILE" },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const range = { from: sequence("from", args.from) ?? 0, to: sequence("to", args.to) };
    const file = openLedgerFile(args.file ?? projectLedger(args.dir));
    try {
      // One state of the log for the whole way, while a gate goes on writing.
      file.db.run("BEGIN");
      const lines = exportLines(file.db, range);
      const entries = args.out === undefined ? await toStdout(lines) : toFile(args.out, lines);
      if (args.out !== undefined && args.json) await printJson({ ok: true, out: args.out, entries });
      else note(`${entries} entries`);
    } finally {
      file.close();
    }
    return 0;
  },
});

function sequence(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw new UsageError(`--${name} takes the position of an entry`);
  return Number(text);
}

/** Characters that are written at once. */
const BLOCK = 1_048_576;

function* blocks(lines: Iterable<string>, count: (lines: number) => void): Generator<string> {
  let block = "";
  let taken = 0;
  for (const line of lines) {
    block += `${line}\n`;
    count(taken++);
    if (block.length < BLOCK) continue;
    yield block;
    block = "";
  }
  yield block;
}

/** Both give the number of entries: the lines after the first. */
async function toStdout(lines: Iterable<string>): Promise<number> {
  let entries = 0;
  for (const block of blocks(lines, (n) => {
    entries = n;
  }))
    await writeOut(block);
  return entries;
}

function toFile(path: string, lines: Iterable<string>): number {
  let entries = 0;
  let fd: number;
  try {
    fd = openSync(path, "wx", 0o600);
  } catch (cause) {
    throw new EndedError(
      EXIT.error,
      "out_not_created",
      `cannot create ${path}; it must not exist yet`,
      String(cause),
    );
  }
  try {
    for (const block of blocks(lines, (n) => {
      entries = n;
    }))
      writeSync(fd, block);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return entries;
}
