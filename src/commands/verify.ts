import { openPayloadFile } from "../ledger/store/payload-file.ts";
import { verifyLedgerFile } from "../ledger/verify/file.ts";
import { EXIT_CODES } from "../ledger/verify/report.ts";
import { readTrust } from "../ledger/verify/trust.ts";
import { defineCommand } from "./command.ts";
import { isTerminal, printJson, printLine, safe, writeErr } from "./output.ts";

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
    payloads: {
      type: "string",
      description:
        "The file with the stored payloads: each must be there, or have been pruned by a signed act",
      valueHint: "FILE",
    },
    strict: {
      type: "boolean",
      description: `Calls without a receipt count as damage (exit ${EXIT_CODES.unresolved})`,
    },
  },
  async run({ args }) {
    const trust = readTrust(args.trust);
    const payloads = args.payloads === undefined ? null : openPayloadFile(args.payloads);
    const bar = isTerminal(2) && !args.json;
    const report = verifyLedgerFile(args.file, {
      trust,
      strict: args.strict,
      ...(payloads === null ? {} : { payloads }),
      ...(bar
        ? {
            progress: (done, total) =>
              writeErr(`\r${Math.floor((100 * done) / total)} % of ${total} entries`),
          }
        : {}),
    });
    payloads?.close();
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
      if (report.pruned > 0) lines.push(`${report.pruned} payloads were pruned by signed acts`);
      if (report.clock_regressions > 0) lines.push(`the clock went back ${report.clock_regressions} times`);
      await printLine(lines.join("\n"));
    }
    return report.exit_code;
  },
});
