import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { openAgent, openOperator } from "../client/open.ts";
import { messageOf } from "../core/errors.ts";
import type { WantedCheckpoint } from "../ledger/prove-consistency.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { EndedError, EXIT, UsageError } from "./exit-code.ts";
import { note, printJson, safe, writeOut } from "./output.ts";
import { projectLedger } from "./project-ledger.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: {
    name: "prove",
    description:
      "Write a self-contained proof: of a receipt (C2SP tlog-proof), or that one checkpoint extends another",
  },
  args: {
    receipt: {
      type: "positional",
      description: "Id of the receipt",
      valueHint: "RECEIPT_ID",
      required: false,
    },
    from: {
      type: "string",
      description: "The older checkpoint: a file with one that you kept, or the size of a stored one",
      valueHint: "CHECKPOINT",
    },
    to: {
      type: "string",
      description: "The newer one, as above; the newest that is stored by default",
      valueHint: "CHECKPOINT",
    },
    out: { type: "string", description: "File to write; standard output when absent", valueHint: "FILE" },
    ledger: {
      type: "string",
      description: "A ledger file to prove from, without a gate",
      valueHint: "FILE",
    },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const { receipt, from, to } = args;
    if ((receipt === undefined) === (from === undefined) || (to !== undefined && from === undefined))
      throw new UsageError(
        "prove takes the id of a receipt, or --from CHECKPOINT and perhaps --to CHECKPOINT",
      );
    if (from !== undefined && args.operator !== undefined)
      throw new UsageError("--operator goes with a receipt: checkpoints are read from the ledger file");
    const about = receipt === undefined ? {} : { receipt_id: receipt };
    const proof =
      receipt === undefined
        ? await between(checkpointOf("from", from ?? ""), to, args)
        : args.ledger === undefined
          ? await fromGate(receipt, args)
          : await fromFile(receipt, args.ledger);
    if (args.out === undefined) {
      if (args.json) await printJson({ ok: true, ...about, proof });
      else await writeOut(proof);
      return EXIT.done;
    }
    try {
      writeFileSync(args.out, proof);
    } catch (cause) {
      throw new EndedError(EXIT.error, "not_written", `cannot write ${safe(args.out)}: ${messageOf(cause)}`);
    }
    if (args.json) await printJson({ ok: true, ...about, out: args.out });
    else note(`the proof is in ${safe(args.out)}`);
    return EXIT.done;
  },
});

/** As the operator who is named, else as the caller, who may have his own receipts proven. */
async function fromGate(
  receipt: string,
  args: { readonly dir?: string | undefined; readonly operator?: string | undefined },
): Promise<string> {
  const around = surroundings(args);
  const client = args.operator === undefined ? await openAgent(around) : await openOperator(around);
  return client.proof(receipt);
}

async function fromFile(receipt: string, path: string): Promise<string> {
  const { proveFromFile } = await import("../ledger/prove-file.ts");
  const proof = proveFromFile(path, receipt);
  if (proof === null)
    throw new EndedError(EXIT.notFound, "not_found", "there is no such receipt in this ledger");
  return proof;
}

async function between(
  older: WantedCheckpoint,
  to: string | undefined,
  args: { readonly ledger?: string | undefined; readonly dir?: string | undefined },
): Promise<string> {
  const { proveConsistencyFromFile } = await import("../ledger/prove-file.ts");
  const newer = to === undefined ? null : checkpointOf("to", to);
  return proveConsistencyFromFile(args.ledger ?? projectLedger(args.dir), older, newer);
}

/** More than any note with its cosignatures has. */
const LONGEST_NOTE = 65_536;

function checkpointOf(flag: string, value: string): WantedCheckpoint {
  if (/^[1-9][0-9]{0,14}$/.test(value)) return { size: Number(value) };
  if (!existsSync(value))
    throw new UsageError(`--${flag} takes a file with a checkpoint, or the size of a stored one`);
  let text: string;
  try {
    text = readFileSync(value, "utf8");
  } catch (cause) {
    throw new EndedError(EXIT.error, "anchor_unreadable", `cannot read ${safe(value)}: ${messageOf(cause)}`);
  }
  if (text.length > LONGEST_NOTE)
    throw new EndedError(EXIT.error, "anchor_unreadable", `${safe(value)} is not a checkpoint`);
  return { note: text };
}
