import { availableParallelism } from "node:os";
import { openPayloadFile } from "../ledger/store/payload-file.ts";
import type { AnchorParties } from "../ledger/verify/anchored-entries.ts";
import { type Anchor, readAnchor } from "../ledger/verify/anchors.ts";
import { type ConsistencyReport, verifyConsistencyProof } from "../ledger/verify/consistency.ts";
import { verifyExport } from "../ledger/verify/export-file.ts";
import { verifyLedgerFileWith } from "../ledger/verify/file.ts";
import { isStampFile, readKeptStamp } from "../ledger/verify/kept-stamps.ts";
import { EXIT_CODES, type TimestampedTo, type VerifyReport } from "../ledger/verify/report.ts";
import { type SingleReport, verifyEntry, verifyProof } from "../ledger/verify/single.ts";
import { subjectOf } from "../ledger/verify/subject.ts";
import { readAuthority, readTrust, readWitnesses, type Trust } from "../ledger/verify/trust.ts";
import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { isTerminal, printJson, printLine, safe, writeErr } from "./output.ts";

const MOST_THREADS = 256;

export default defineCommand({
  meta: {
    name: "verify",
    description:
      "Check a ledger, an export, a proof or an entry offline: order, signatures, keys, what follows",
  },
  args: {
    file: {
      type: "positional",
      description: "A ledger file (live, a copy, on read-only media), an export, a proof, or an entry",
      valueHint: "FILE",
    },
    trust: {
      type: "string",
      description: "Fingerprint that was noted when the log began, or a file with a JWK set",
      valueHint: "FINGERPRINT|JWKS",
    },
    anchor: {
      type: "string",
      description:
        "Checkpoint kept elsewhere: a file, 'SIZE ROOT-HEX', or a time stamp of it; may be given several times",
      valueHint: "CHECKPOINT",
      repeatable: true,
    },
    since: {
      type: "string",
      description: "Checkpoint of an earlier audit: entries up to there are taken on its word",
      valueHint: "CHECKPOINT",
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
    tsa: {
      type: "string",
      description:
        "PEM file with the certificates of a time-stamp authority: says what it has stamped; may be given several times",
      valueHint: "FILE",
      repeatable: true,
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
    const threads = args.threads === undefined ? availableParallelism() : Number(args.threads);
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
      throw new UsageError(`--threads takes a number from 1 to ${MOST_THREADS}`);
    const trust = readTrust(args.trust);
    const since = args.since === undefined ? null : readAnchor(args.since);
    const authorities = args.tsa.map(readAuthority);
    const stamps = args.anchor.filter(isStampFile);
    const checkpoints = args.anchor.filter((value) => !stamps.includes(value));
    const kept = stamps.map((path) => readKeptStamp(path, authorities));
    const anchors = [...checkpoints.map(readAnchor), ...(since === null ? [] : [since])];
    const subject = subjectOf(args.file);
    if (since !== null && subject.kind !== "ledger")
      throw new UsageError("--since goes with a ledger; this file is none");
    // What an auditor asks to be looked at is looked at, or refused; never passed over.
    for (const flag of ["payloads", "witness"] as const)
      if (args[flag] !== undefined && subject.kind !== "ledger")
        throw new UsageError(`--${flag} goes with a ledger; this file is none`);
    // Which checkpoint was stamped shows only among those that are checked.
    if (kept.length > 0 && since !== null)
      throw new UsageError("a time stamp as --anchor does not go with --since");
    if (args.tsa.length > 0 && subject.kind !== "ledger")
      throw new UsageError("--tsa goes with a ledger; this file is none");
    if (subject.kind === "entry" || subject.kind === "proof")
      return printSingle(
        subject.kind === "entry"
          ? entryAlone(subject.text, trust, anchors)
          : verifyProof(subject.text, trust, anchors),
        args.json,
      );
    if (subject.kind === "consistency")
      return printConsistency(verifyConsistencyProof(subject.text, trust, anchors), args.json);
    const bar = isTerminal(2) && !args.json;
    const progress = (done: number, total: number) => writeErr(`\r${progressBar(done, total)}`);
    const payloads = args.payloads === undefined ? null : openPayloadFile(args.payloads);
    const parties = { witnesses: readWitnesses(args.witness), authorities, kept };
    const options = {
      trust,
      strict: args.strict,
      anchors,
      since,
      parties,
      ...(payloads === null ? {} : { payloads }),
      ...(bar ? { progress } : {}),
    };
    const report =
      subject.kind === "export"
        ? verifyExport(args.file, options)
        : await verifyLedgerFileWith(threads, args.file, options);
    payloads?.close();
    if (bar) writeErr("\r\u001b[K");
    return printReport(report, args.json, parties);
  },
});

function entryAlone(text: string, trust: Trust, anchors: readonly Anchor[]): SingleReport {
  if (anchors.length > 0)
    throw new UsageError("an entry alone shows nothing to an anchor", "verify a proof of it, or the ledger");
  return verifyEntry(text, trust);
}

const BAR = 24;

function progressBar(done: number, total: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(share * BAR);
  return `[${"#".repeat(full)}${" ".repeat(BAR - full)}] ${Math.floor(share * 100)} % of ${total} entries`;
}

async function printSingle(report: SingleReport, json: boolean): Promise<number> {
  if (json)
    await printJson({ ok: report.exit_code === 0, ...report } as never); // a plain object of json values
  else {
    const lines = [safe(report.summary)];
    lines.push(`log ${report.log ?? "unknown"}, ${report.type ?? "unknown"} of ${report.time ?? "unknown"}`);
    if (report.checkpoint !== null)
      lines.push(`checkpoint of ${report.checkpoint.size} entries, root ${report.checkpoint.root}`);
    await printLine(lines.join("\n"));
  }
  return report.exit_code;
}

async function printConsistency(report: ConsistencyReport, json: boolean): Promise<number> {
  if (json)
    await printJson({ ok: report.exit_code === 0, ...report } as never); // a plain object of json values
  else {
    const lines = [safe(report.summary)];
    for (const one of [report.older, report.newer])
      if (one !== null) lines.push(`checkpoint of ${one.size} entries, root ${one.root}`);
    await printLine(lines.join("\n"));
  }
  return report.exit_code;
}

async function printReport(report: VerifyReport, json: boolean, parties: AnchorParties): Promise<number> {
  if (json)
    await printJson({ ok: report.exit_code === 0, ...report } as never); // a plain object of json values
  else {
    const lines = [safe(report.summary)];
    lines.push(`log ${report.log ?? "unknown"}, ${report.entries} entries, head ${report.head ?? "none"}`);
    lines.push(
      `${report.grants} grants, ${report.receipts} receipts, ${report.unresolved.length} without a receipt`,
    );
    lines.push(`${report.checkpoints} checkpoints, ${report.signers.length} signing keys`);
    if (report.since !== null) lines.push(`the first ${report.since} entries were not checked`);
    if (report.anchored_to !== null) lines.push(`the first ${report.anchored_to} entries are anchored`);
    else if (parties.authorities.length > 0)
      lines.push("not anchored: those you named have together signed none of its checkpoints");
    else if (parties.witnesses.length > 0)
      lines.push("not anchored: these witnesses have cosigned none of its checkpoints");
    lines.push(...report.timestamps.map(stampLine));
    const { statements, unsigned_decisions: unsigned } = report;
    if (statements + unsigned > 0)
      lines.push(
        `${statements} decisions are signed by their operator, ${unsigned} stand on the gate's word alone`,
      );
    if (report.pruned > 0) lines.push(`${report.pruned} payloads were pruned by signed acts`);
    if (report.clock_regressions > 0) lines.push(`the clock went back ${report.clock_regressions} times`);
    await printLine(lines.join("\n"));
  }
  return report.exit_code;
}

/** Beyond it, one of the two clocks was wrong. */
const CLOCKS_AGREE_MS = 300_000;

function stampLine({ size, time, by, log_time }: TimestampedTo): string {
  const apart = Math.abs(Date.parse(log_time) - Date.parse(time));
  const doubt = apart > CLOCKS_AGREE_MS ? `; the log's own clock said ${log_time}` : "";
  return `the first ${size} entries are time-stamped at ${time} by ${safe(by)}${doubt}`;
}
