import type { ObservedEffect } from "../core/effect.ts";
import type { EffectRecord } from "../ledger/entry/types.ts";
import { commitUnder } from "../ledger/store/payloads.ts";

/** An observation as the log keeps it: what could be guessed or tells a path is committed to, not shown. */
export function effectRecord(effect: ObservedEffect, salt: Uint8Array): EffectRecord {
  const sealed = (hex: string) => commitUnder(salt, Buffer.from(hex, "hex"));
  const committed = (hex: string | null) => (hex === null ? null : sealed(hex));
  const end = { reached: effect.reached, error: effect.error };
  switch (effect.kind) {
    case "http":
      return {
        kind: "http",
        method: effect.method,
        origin: effect.origin,
        target: commitUnder(salt, effect.target),
        address: effect.address,
        request_bytes: effect.requestBytes,
        request: committed(effect.requestHash),
        status: effect.status,
        response_bytes: effect.responseBytes,
        response: committed(effect.responseHash),
        secrets: effect.secrets,
        scrubbed: effect.scrubbed,
        ...end,
      };
    case "fs":
      return {
        kind: "fs",
        operation: effect.operation,
        path: commitUnder(salt, effect.path),
        device: effect.device,
        inode: effect.inode,
        before: committed(effect.beforeHash),
        after: committed(effect.afterHash),
        bytes_before: effect.bytesBefore,
        bytes_after: effect.bytesAfter,
        ...end,
      };
    case "database":
      return {
        kind: "database",
        connection: effect.connection,
        engine: effect.engine,
        target: effect.target,
        statement: sealed(effect.statementHash),
        parameters: sealed(effect.parametersHash),
        class: effect.class,
        tables: effect.tables,
        rows: effect.rows,
        affected: effect.affected,
        bytes: effect.bytes,
        result: committed(effect.resultHash),
        sqlstate: effect.sqlstate,
        ...end,
      };
    case "mail":
      return {
        kind: "mail",
        connection: effect.connection,
        server: effect.server,
        address: effect.address,
        message_id: effect.messageId,
        message: committed(effect.messageHash),
        bytes: effect.bytes,
        recipients: sealed(effect.recipientsHash),
        recipient_count: effect.recipients,
        accepted: effect.accepted,
        refused: effect.refused,
        status: effect.status,
        ...end,
      };
    case "queue":
      return {
        kind: "queue",
        connection: effect.connection,
        server: effect.server,
        vhost: effect.vhost,
        exchange: effect.exchange,
        routing_key: effect.routingKey,
        address: effect.address,
        message_id: effect.messageId,
        payload_bytes: effect.payloadBytes,
        payload: sealed(effect.payloadHash),
        confirm: effect.confirm,
        ...end,
      };
    case "storage":
      return {
        kind: "storage",
        operation: effect.operation,
        connection: effect.connection,
        endpoint: effect.endpoint,
        bucket: effect.bucket,
        key: commitUnder(salt, effect.key),
        address: effect.address,
        request_bytes: effect.requestBytes,
        request: committed(effect.requestHash),
        status: effect.status,
        response_bytes: effect.responseBytes,
        response: committed(effect.responseHash),
        etag: effect.etag,
        version: effect.version,
        ...end,
      };
  }
}
