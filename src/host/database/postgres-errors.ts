import { SQL } from "bun";
import type { HostErrorCode } from "../../core/effect.ts";
import { HostFailure } from "../failure.ts";

/** What the server or the driver said, without its words: message and detail may hold values of rows. */
export interface PostgresFault {
  readonly failure: HostFailure;
  /** Null when the server said nothing. */
  readonly sqlstate: string | null;
}

/** PostgreSQL's error codes (Appendix A) by their first characters, the longest match first. */
const BY_SQLSTATE: readonly (readonly [prefix: string, code: HostErrorCode])[] = [
  ["57014", "statement_timeout"],
  ["55P03", "statement_timeout"],
  ["25P03", "statement_timeout"],
  ["42501", "permission_denied"],
  ["25006", "permission_denied"],
  ["42P18", "parameter_invalid"],
  ["42P08", "parameter_invalid"],
  ["08P01", "parameter_invalid"],
  ["3D000", "database_unavailable"],
  ["08", "database_unavailable"],
  ["22", "parameter_invalid"],
  ["23", "constraint_violated"],
  ["28", "authentication_failed"],
  ["40", "serialization_failed"],
  ["53", "database_unavailable"],
  ["57", "database_unavailable"],
];

const BY_DRIVER: Readonly<Record<string, HostErrorCode>> = {
  ERR_POSTGRES_CONNECTION_REFUSED: "connect_failed",
  ERR_POSTGRES_CONNECTION_FAILED: "connect_failed",
  ERR_POSTGRES_CONNECTION_TIMEOUT: "connect_timeout",
  ERR_POSTGRES_TLS_NOT_AVAILABLE: "tls_failed",
  ERR_POSTGRES_TLS_UPGRADE_FAILED: "tls_failed",
  ERR_POSTGRES_CONNECTION_CLOSED: "connection_reset",
  ERR_POSTGRES_IDLE_TIMEOUT: "idle_timeout",
  ERR_POSTGRES_LIFETIME_TIMEOUT: "idle_timeout",
  ERR_POSTGRES_AUTHENTICATION_FAILED_PBKDF2: "authentication_failed",
  ERR_POSTGRES_SASL_SIGNATURE_MISMATCH: "authentication_failed",
};

/** Reads anything that Bun's client threw. */
export function postgresFault(thrown: unknown, otherwise: HostErrorCode): PostgresFault {
  if (thrown instanceof HostFailure) return { failure: thrown, sqlstate: null };
  const sqlstate = thrown instanceof SQL.PostgresError ? stateOf(thrown.errno) : null;
  const said = sqlstate === null ? undefined : BY_SQLSTATE.find(([prefix]) => sqlstate.startsWith(prefix));
  const driver = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  const code =
    sqlstate === null
      ? isCertificateFault(driver)
        ? "tls_failed"
        : (BY_DRIVER[driver] ?? otherwise)
      : (said?.[1] ?? "statement_failed");
  // The cause is left out on purpose.
  return { failure: new HostFailure(code, `the database answered ${sqlstate ?? "nothing"}`), sqlstate };
}

function stateOf(errno: unknown): string | null {
  return typeof errno === "string" && /^[0-9A-Z]{5}$/.test(errno) ? errno : null;
}

/** Codes of the TLS library, as in OpenSSL's X509_verify_cert_error_string. */
function isCertificateFault(code: string): boolean {
  return /CERT|ERR_TLS|SELF_SIGNED|UNABLE_TO_|HOSTNAME|SSL/.test(code);
}
