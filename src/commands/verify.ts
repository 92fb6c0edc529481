import { availableParallelism } from "node:os";
import { readAnchor } from "../ledger/verify/anchors.ts";
import { verifyLedgerFileWith } from "../ledger/verify/file.ts";
import { EXIT_CODES } from "../ledger/verify/report.ts";
import { readTrust, readWitnesses } from "../ledger/verify/trust.ts";
import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { isTerminal, printJson, printLine, safe, writeErr } from "./output.ts";

const MOST_THREADS = 256;

export default defineCommand({
  meta: {
    name: "verify",
    description: "Check a ledger offline: order, signatures, keys, and what follows from them",
  },
  args: {
    file: {
      type: "positional",
      description: "A ledger file: live, a copy, or on read-only media",
      valueHint: "FILE",
    },
    trust: {
      type: "string",
      description: "Fingerprint that was noted when the log began, or a file with a JWK set",
      valueHint: "FINGERPRINT|JWKS",
    },
    anchor: {
      type: "string",
      description: "Checkpoint kept elsewhere: a file, or 'SIZE ROOT-HEX'; may be given several times",
      valueHint: "CHECKPOINT",
      repeatable: true,
    },
    threads: {
      type: "string",
      description: "Threads that check signatures; as many as there are cores by default",
      valueHint: "N",
    },
    witness: {
      type: "string",
      description: "Verifier key of a witness, or a file with one a line: says what they have cosigned",
      valueHint: "VKEY|FILE",
    },
    strict: {
      type: "boolean",
      description: `Calls without a receipt count as damage (exit ${EXIT_CODES.unresolved})`,
    },
  },
  async run({ args }) {
    const trust = readTrust(args.trust);
    const witnesses = readWitnesses(args.witness);
    const bar = isTerminal(2) && !args.json;
    const threads = args.threads === undefined ? availableParallelism() : Number(args.threads);
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
      throw new UsageError(`--threads takes a number from 1 to ${MOST_THREADS}`);
    const report = await verifyLedgerFileWith(threads, args.file, {
      trust,
      anchors: args.anchor.map(readAnchor),
      strict: args.strict,
      witnesses,
      ...(bar
        ? {
            progress: (done, total) =>
              writeErr(`\r${Math.floor((100 * done) / total)} % of ${total} entries`),
          }
        : {}),
    });
    if (bar) writeErr("\r\u001b[K");
    if (args.json)
      await printJson({ ok: report.exit_code === 0, ...report } as never); // a plain object of json values
    else {
      const lines = [safe(report.summary)];
      lines.push(`log ${report.log ?? "unknown"}, ${report.entries} entries, head ${report.head ?? "none"}`);
      lines.push(
        `${report.grants} grants, ${report.receipts} receipts, ${report.unresolved.length} without a receipt`,
      );
      lines.push(`${report.checkpoints} checkpoints, ${report.signers.length} signing keys`);
      if (report.anchored_to !== null) lines.push(`anchored to ${report.anchored_to} entries`);
      else if (witnesses.length > 0)
        lines.push("not anchored: these witnesses have cosigned none of its checkpoints");
      if (report.clock_regressions > 0) lines.push(`the clock went back ${report.clock_regressions} times`);
      await printLine(lines.join("\n"));
    }
    return report.exit_code;
  },
});
