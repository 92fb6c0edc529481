import { writeFileSync } from "node:fs";
import { openAgent, openOperator } from "../client/open.ts";
import { messageOf } from "../core/errors.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { note, printJson, safe, writeOut } from "./output.ts";
import { surroundings } from "./surroundings.ts";

export default defineCommand({
  meta: {
    name: "prove",
    description: "Write a self-contained proof (C2SP tlog-proof) that a receipt is in the log",
  },
  args: {
    receipt: { type: "positional", description: "Id of the receipt", valueHint: "RECEIPT_ID" },
    out: { type: "string", description: "File to write; standard output when absent", valueHint: "FILE" },
    ledger: {
      type: "string",
      description: "A ledger file to prove from, without a gate",
      valueHint: "FILE",
    },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const proof =
      args.ledger === undefined
        ? await fromGate(args.receipt, args)
        : await fromFile(args.receipt, args.ledger);
    if (args.out === undefined) {
      if (args.json) await printJson({ ok: true, receipt_id: args.receipt, proof });
      else await writeOut(proof);
      return EXIT.done;
    }
    try {
      writeFileSync(args.out, proof);
    } catch (cause) {
      throw new EndedError(EXIT.error, "not_written", `cannot write ${safe(args.out)}: ${messageOf(cause)}`);
    }
    if (args.json) await printJson({ ok: true, receipt_id: args.receipt, out: args.out });
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
