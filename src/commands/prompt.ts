import { readSync } from "node:fs";
import { quoted } from "./argv.ts";
import { EndedError, EXIT, UsageError } from "./exit-code.ts";
import { isTerminal, note, safe, writeErr } from "./output.ts";

/**
 * Asks for a literal `yes` before something that cannot be taken back. `--yes` stands for it; `--json` does not.
 * Away from a terminal there is nobody to ask, and silence is no consent: a usage error.
 */
export function confirm(question: string, yes: boolean): void {
  if (yes) return;
  if (!isTerminal(0) || !isTerminal(2))
    throw new UsageError("this needs a confirmation, and there is no terminal to ask on", "add --yes");
  writeErr(`${question} Type yes to go on: `);
  const answer = readLine();
  if (answer !== "yes")
    throw new EndedError(EXIT.error, "not_confirmed", `nothing was done: the answer was ${quoted(answer)}`);
}

function readLine(): string {
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  while (bytes.length < 1024 && readSync(0, one, 0, 1, null) === 1 && one[0] !== 0x0a)
    bytes.push(one[0] ?? 0);
  return Buffer.from(bytes).toString("utf8").trim();
}

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const BACKSPACE = /[\b\u007f]/;

/** Reads a passphrase from the terminal without showing it; null when there is no terminal. */
export function askPassphrase(file: string): Promise<string | null> {
  return askHidden(`passphrase for ${file}`);
}

/** Reads one line from the terminal without showing it; null when there is no terminal. */
export async function askHidden(question: string): Promise<string | null> {
  if (!isTerminal(0) || !isTerminal(2)) return null;
  const { stdin } = process;
  // Before the question is shown: what is typed in answer to it must never be echoed.
  stdin.setRawMode(true);
  writeErr(`${safe(question)}: `);
  stdin.setEncoding("utf8");
  // Listened to and not iterated over: leaving an iteration closes the terminal for a question after this one.
  let listener = (_chunk: unknown) => {};
  let ended = () => {};
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = "";
      listener = (chunk) => {
        for (const character of String(chunk)) {
          if (character === "\r" || character === "\n") return resolve(typed);
          if (character === CTRL_C || character === CTRL_D)
            return reject(new EndedError(EXIT.error, "cancelled", "nothing was typed"));
          typed = BACKSPACE.test(character) ? typed.slice(0, -1) : typed + character;
        }
      };
      ended = () => resolve(typed);
      stdin.on("data", listener);
      stdin.once("end", ended);
      stdin.resume();
    });
  } finally {
    stdin.off("data", listener);
    stdin.off("end", ended);
    stdin.pause();
    stdin.setRawMode(false);
    note("");
  }
}
