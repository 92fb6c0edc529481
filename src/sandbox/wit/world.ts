import type { HostCallKind } from "../../core/host-call.ts";
import { PARAMETER_KINDS } from "../../core/plan/database.ts";
import type { WitType } from "./type.ts";
import {
  bool,
  bytes,
  enumeration,
  list,
  option,
  record,
  result,
  string,
  tuple,
  u16,
  u32,
  u64,
} from "./type.ts";

/** The world of providers/wit/provider.wit as data. A test holds the two together. */
export const PACKAGE = "latchgate:provider";
export const VERSION = "0.1.0";

export const INTERFACES = [
  "io-http",
  "io-fs",
  "io-smtp",
  "io-database",
  "io-queue",
  "io-storage",
  "io-log",
] as const;
export type InterfaceName = (typeof INTERFACES)[number];

export const LOG_LEVELS = ["debug", "info", "warn"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface WorldFunction {
  /** `interface.function`. */
  readonly name: string;
  readonly interface: InterfaceName;
  readonly function: string;
  readonly params: readonly WitType[];
  readonly result: WitType | null;
  readonly signature: string;
  /** What becomes of a call: a host call through the door, or a log line. */
  readonly serves: { readonly host: HostCallKind } | { readonly log: LogLevel };
}

const headers = list(tuple([string, string]));

export const FS_ERRORS = [
  "operation-not-allowed",
  "path-not-allowed",
  "path-denied",
  "path-not-found",
  "path-invalid",
  "already-exists",
  "too-large",
  "symlink-escape",
  "traversal",
  "special-file",
  "conflict",
  "invalid-content",
  "io-error",
] as const;

const fsError = enumeration(FS_ERRORS);

function declare(
  from: InterfaceName,
  name: string,
  param: WitType,
  answer: WitType | null,
  serves: WorldFunction["serves"],
): WorldFunction {
  return {
    name: `${from}.${name}`,
    interface: from,
    function: name,
    params: [param],
    result: answer,
    signature: signature([param], answer),
    serves,
  };
}

/** The order is part of the protocol between gate and runner, which are always the same binary. */
export const WORLD_FUNCTIONS: readonly WorldFunction[] = [
  declare(
    "io-http",
    "request",
    record([
      ["method", string],
      ["url", string],
      ["headers", headers],
      ["body", option(bytes)],
      ["timeout-ms", u32],
    ]),
    result(
      record([
        ["status", u16],
        ["headers", headers],
        ["body", bytes],
      ]),
      string,
    ),
    { host: "http.request" },
  ),
  declare(
    "io-fs",
    "read",
    record([["path", string]]),
    result(
      record([
        ["content", bytes],
        ["hash", bytes],
        ["size-bytes", u64],
      ]),
      fsError,
    ),
    { host: "fs.read" },
  ),
  declare(
    "io-fs",
    "write",
    record([
      ["path", string],
      ["content", bytes],
      ["mode", enumeration(["create", "overwrite"])],
      ["expected-before-hash", option(bytes)],
    ]),
    result(
      record([
        ["before-hash", option(bytes)],
        ["after-hash", bytes],
        ["bytes-before", u64],
        ["bytes-written", u64],
      ]),
      fsError,
    ),
    { host: "fs.write" },
  ),
  declare("io-fs", "delete", record([["path", string]]), result(record([["ok", bool]]), fsError), {
    host: "fs.delete",
  }),
  declare(
    "io-smtp",
    "send",
    record([
      ["to", list(string)],
      ["cc", list(string)],
      ["bcc", list(string)],
      ["subject", string],
      ["text", option(string)],
      ["html", option(string)],
      ["headers", headers],
    ]),
    result(
      record([
        ["message-id", string],
        ["accepted", u32],
      ]),
      string,
    ),
    { host: "smtp.send" },
  ),
  declare(
    "io-database",
    "execute-query",
    record([
      ["connection", string],
      ["statement", string],
      [
        "parameters",
        list(
          record([
            ["kind", enumeration(PARAMETER_KINDS)],
            ["value", string],
          ]),
        ),
      ],
    ]),
    result(
      record([
        ["rows", u64],
        ["affected", u64],
        ["rows-json", string],
      ]),
      string,
    ),
    { host: "database.execute-query" },
  ),
  declare(
    "io-queue",
    "publish",
    record([
      ["connection", string],
      ["exchange", string],
      ["routing-key", string],
      ["payload", bytes],
      ["content-type", string],
      ["headers", headers],
    ]),
    result(record([["message-id", string]]), string),
    { host: "queue.publish" },
  ),
  declare(
    "io-storage",
    "put-object",
    record([
      ["connection", string],
      ["bucket", string],
      ["key", string],
      ["content", bytes],
      ["content-type", option(string)],
      ["if-none-match", bool],
      ["if-match", option(string)],
    ]),
    result(
      record([
        ["etag", string],
        ["content-hash", bytes],
        ["bytes-written", u64],
      ]),
      string,
    ),
    { host: "storage.put-object" },
  ),
  declare(
    "io-storage",
    "get-object",
    record([
      ["connection", string],
      ["bucket", string],
      ["key", string],
    ]),
    result(
      record([
        ["content", bytes],
        ["content-type", option(string)],
        ["etag", string],
        ["hash", bytes],
      ]),
      string,
    ),
    { host: "storage.get-object" },
  ),
  declare("io-log", "log-debug", string, null, { log: "debug" }),
  declare("io-log", "log-info", string, null, { log: "info" }),
  declare("io-log", "log-warn", string, null, { log: "warn" }),
];

export const EXECUTE_RESULT = result(string, string);
export const EXECUTE_SIGNATURE = signature([string], EXECUTE_RESULT);

/** A function's type as text, without the names of its parameters. */
export function signature(params: readonly WitType[], answer: WitType | null): string {
  return `(${params.map((param) => param.text).join(",")})->${answer === null ? "nothing" : answer.text}`;
}

const byName = new Map(WORLD_FUNCTIONS.map((declared) => [declared.name, declared]));

export function worldFunction(name: string): WorldFunction | undefined {
  return byName.get(name);
}

/** `latchgate:provider/io-http@0.1.0` → `io-http`; null for any other name. */
export function interfaceOf(importName: string): InterfaceName | null {
  return INTERFACES.find((name) => importName === `${PACKAGE}/${name}@${VERSION}`) ?? null;
}
