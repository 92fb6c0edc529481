import type { DamageLog, VerifyReport } from "./report.ts";

/** What the verdict rests on. */
export interface Finding {
  readonly damage: DamageLog;
  /** The first entry of a later version; null when there is none. */
  readonly unsupported: string | null;
  readonly trusted: boolean;
  readonly entries: number;
  /** Of the first evidence key; null when nothing was signed. */
  readonly fingerprint: string | null;
}

/** The verdict, with its exit code and one line for people. */
export function verdictOf(finding: Finding): Pick<VerifyReport, "verdict" | "summary" | "exit_code"> {
  const { damage, unsupported, trusted } = finding;
  const exit_code = damage.exitCode || (unsupported === null ? 0 : 1);
  if (damage.first !== null) return { verdict: "damaged", summary: damaged(damage), exit_code };
  if (unsupported !== null)
    return { verdict: "unsupported", summary: `not supported by this version: ${unsupported}`, exit_code };
  return trusted
    ? {
        verdict: "intact",
        summary: `intact: ${finding.entries} entries, signed by the trusted key`,
        exit_code,
      }
    : {
        verdict: "consistent",
        summary: `consistent, signer not verified, fingerprint ${finding.fingerprint ?? "unknown"}`,
        exit_code,
      };
}

function damaged({ first, counts }: DamageLog): string {
  const others = Object.values(counts).reduce((sum, count) => sum + count, 0) - 1;
  const where = first?.seq == null ? "" : ` at entry ${first.seq}`;
  return `damaged: ${first?.kind ?? ""}${where}: ${first?.detail ?? ""}${others > 0 ? `, and ${others} more` : ""}`;
}
