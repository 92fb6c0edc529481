/** Stable codes of host I/O. The fs ones are those of the WIT `fs-error` (snake case). */
export type HostErrorCode =
  | AnyBrokerCode
  | NetworkCode
  | HttpCode
  | FsCode
  | DatabaseCode
  | MailCode
  | QueueCode
  | StorageCode;

type AnyBrokerCode =
  | "differs_from_plan"
  | "not_granted"
  | "io_budget_exceeded"
  | "deadline"
  | "cancelled"
  | "connection_missing"
  | "secret_missing"
  | "secrets_unavailable"
  | "secrets_damaged"
  | "secret_invalid";

/** Shared by what dials. */
type NetworkCode =
  | "dns_failed"
  | "connect_failed"
  | "connect_timeout"
  | "tls_failed"
  | "idle_timeout"
  | "connection_reset"
  | "malformed_response"
  | "request_too_large"
  | "response_too_large"
  | "authentication_failed";

type HttpCode =
  | "url_invalid"
  | "scheme_not_allowed"
  | "port_not_allowed"
  | "host_not_allowed"
  | "address_not_public"
  | "header_not_allowed"
  | "proxy_refused"
  | "header_timeout";

type FsCode =
  | "operation_not_allowed"
  | "path_not_allowed"
  | "path_denied"
  | "path_not_found"
  | "path_invalid"
  | "already_exists"
  | "too_large"
  | "symlink_escape"
  | "traversal"
  | "special_file"
  | "conflict"
  | "invalid_content"
  | "io_error";

type DatabaseCode =
  | "statement_refused"
  | "statement_failed"
  | "parameter_invalid"
  | "constraint_violated"
  | "permission_denied"
  | "serialization_failed"
  | "statement_timeout"
  | "too_many_rows"
  | "duplicate_column"
  | "database_unavailable";

type MailCode = "recipient_refused" | "message_refused";

type QueueCode = "unroutable" | "publish_refused";

type StorageCode = "object_exists" | "object_not_found" | "storage_refused" | "integrity_failed";
