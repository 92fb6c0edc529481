import { openOperator } from "../client/open.ts";
import type { AuditFilters } from "../client/operator.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { defineCommand, OPERATOR_FLAGS } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { cell, hasColour, jsonText, printJson, printLine, table, writeOut } from "./output.ts";
import { surroundings } from "./surroundings.ts";

const FORMATS = ["table", "json", "jsonl", "csv"] as const;
type Format = (typeof FORMATS)[number];

const COLUMNS = [
  "trace_id",
  "timestamp",
  "event_type",
  "action_id",
  "principal",
  "decision",
  "deny_reason",
  "session_id",
] as const;

export default defineCommand({
  meta: { name: "audit", description: "Show the log, newest first" },
  also: {
    prune: { summary: "destroy stored bodies; the log stays whole", load: () => import("./audit-prune.ts") },
  },
  args: {
    action: { type: "string", description: "Only this action", valueHint: "ID" },
    principal: { type: "string", description: "Only this principal", valueHint: "NAME" },
    decision: {
      type: "string",
      description: "Only this decision",
      valueHint: "allow|deny|pending_approval|…",
    },
    type: { type: "string", description: "Only this type of event", valueHint: "TYPE" },
    "trace-id": { type: "string", description: "Only this trace", valueHint: "ID" },
    "session-id": { type: "string", description: "Only this session", valueHint: "ID" },
    after: { type: "string", description: "Only after this time", valueHint: "RFC3339" },
    before: { type: "string", description: "Only before this time", valueHint: "RFC3339" },
    limit: {
      type: "string",
      alias: "l",
      description: "At most this many, 1 to 1000; 20 by default",
      valueHint: "N",
    },
    unresolved: {
      type: "boolean",
      description: "Only calls that were dispatched and whose outcome is not known",
    },
    ledger: {
      type: "string",
      description: "With --unresolved: read this ledger file, without a gate",
      valueHint: "FILE",
    },
    format: {
      type: "string",
      description: `How to print: ${FORMATS.join(", ")}; table by default`,
      valueHint: "FORMAT",
    },
    ...OPERATOR_FLAGS,
  },
  async run({ args }) {
    const format = readFormat(args.format, args.json);
    if (args.ledger !== undefined) {
      const { readUnresolvedFile } = await import("./audit-file.ts");
      await print(readUnresolvedFile(args), format);
      return 0;
    }
    const filters: Record<string, string> = { limit: readLimit(args.limit) };
    const optional = {
      action_id: args.action,
      principal: args.principal,
      decision: args.decision,
      event_type: args.type,
      trace_id: args["trace-id"],
      session_id: args["session-id"],
      after: readTime("--after", args.after),
      before: readTime("--before", args.before),
      unresolved: args.unresolved ? "1" : undefined,
    };
    for (const [name, value] of Object.entries(optional)) if (value !== undefined) filters[name] = value;
    const client = await openOperator(surroundings(args));
    await print(await client.audit(filters as AuditFilters), format); // its names are the literals above
    return 0;
  },
});

function readFormat(text: string | undefined, json: boolean): Format {
  if (text === undefined) return json ? "json" : "table";
  const format = FORMATS.find((known) => known === text);
  if (format === undefined) throw new UsageError(`--format is one of ${FORMATS.join(", ")}`);
  if (json && format !== "json") throw new UsageError("--json and --format exclude each other");
  return format;
}

function readLimit(text = "20"): string {
  if (!/^[0-9]{1,4}$/.test(text) || Number(text) < 1 || Number(text) > 1000)
    throw new UsageError("--limit is a whole number from 1 to 1000");
  return String(Number(text));
}

/** Times in the log are UTC with milliseconds and are compared as text, so every input is brought to that form. */
export function readTime(flag: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d{2}-\d{2}(?:T[0-9:.]+(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms)) throw new UsageError(`${flag} is no time such as 2026-01-31 or 2026-01-31T12:00:00Z`);
  return new Date(ms).toISOString();
}

async function print(events: readonly JsonObject[], format: Format): Promise<void> {
  switch (format) {
    case "json":
      return printJson({ events });
    case "jsonl":
      return writeOut(events.map((event) => `${jsonText(event, false)}\n`).join(""));
    case "csv":
      return writeOut(
        [COLUMNS.map(String), ...events.map(csvRow)].map((row) => `${row.join(",")}\r\n`).join(""),
      );
    case "table":
      return printLine(
        table(
          ["TIME", "TYPE", "ACTION", "PRINCIPAL", "DECISION", "REASON", "TRACE"],
          events.map((event) =>
            [
              event.timestamp,
              event.event_type,
              event.action_id,
              event.principal,
              event.decision,
              event.deny_reason,
              event.trace_id,
            ].map(cell),
          ),
          hasColour(1),
        ),
      );
  }
}

function csvRow(event: JsonObject): string[] {
  return COLUMNS.map((column) => csvCell(event[column]));
}

/**
 * RFC 4180. A cell that starts like a formula gets a quote before it: agents choose some of these texts, and
 * spreadsheets run formulas.
 */
function csvCell(value: Json | undefined): string {
  const text = cell(value);
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
