import type { ObservedEffect } from "./effect.ts";
import type { ParameterKind } from "./plan/database.ts";

/** A host call as the component made it through the WIT world `latchgate:provider@0.1.0`. An attacker controls it. */
export type HostCall =
  | {
      readonly kind: "http.request";
      readonly method: string;
      readonly url: string;
      readonly headers: readonly (readonly [string, string])[];
      readonly body: Uint8Array | null;
      /** 0 asks for the broker's own limit. */
      readonly timeoutMs: number;
    }
  | { readonly kind: "fs.read"; readonly path: string }
  | {
      readonly kind: "fs.write";
      readonly path: string;
      readonly content: Uint8Array;
      readonly mode: "create" | "overwrite";
      readonly expectedBeforeHash: Uint8Array | null;
    }
  | { readonly kind: "fs.delete"; readonly path: string }
  | {
      readonly kind: "database.execute-query";
      readonly connection: string;
      readonly statement: string;
      readonly parameters: readonly { readonly kind: ParameterKind; readonly value: string }[];
    }
  | {
      readonly kind: "smtp.send";
      readonly to: readonly string[];
      readonly cc: readonly string[];
      readonly bcc: readonly string[];
      readonly subject: string;
      readonly text: string | null;
      readonly html: string | null;
      readonly headers: readonly (readonly [string, string])[];
    }
  | {
      readonly kind: "queue.publish";
      readonly connection: string;
      readonly exchange: string;
      readonly routingKey: string;
      readonly payload: Uint8Array;
      readonly contentType: string;
      readonly headers: readonly (readonly [string, string])[];
    }
  | {
      readonly kind: "storage.put-object";
      readonly connection: string;
      readonly bucket: string;
      readonly key: string;
      readonly content: Uint8Array;
      readonly contentType: string | null;
      readonly ifNoneMatch: boolean;
      readonly ifMatch: string | null;
    }
  | {
      readonly kind: "storage.get-object";
      readonly connection: string;
      readonly bucket: string;
      readonly key: string;
    };

export type HostCallKind = HostCall["kind"];

/** Answers as the WIT records have them; `err` is a code from `HostErrorCode`. */
export type HostAnswer =
  | { readonly kind: "http.request"; readonly ok: HttpAnswer }
  | { readonly kind: "fs.read"; readonly ok: { content: Uint8Array; hash: Uint8Array; sizeBytes: number } }
  | {
      readonly kind: "fs.write";
      readonly ok: {
        beforeHash: Uint8Array | null;
        afterHash: Uint8Array;
        bytesBefore: number;
        bytesWritten: number;
      };
    }
  | { readonly kind: "fs.delete"; readonly ok: { ok: true } }
  | { readonly kind: "database.execute-query"; readonly ok: DatabaseAnswer }
  | { readonly kind: "smtp.send"; readonly ok: { messageId: string; accepted: number } }
  | { readonly kind: "queue.publish"; readonly ok: { messageId: string } }
  | {
      readonly kind: "storage.put-object";
      readonly ok: { etag: string; contentHash: Uint8Array; bytesWritten: number };
    }
  | {
      readonly kind: "storage.get-object";
      readonly ok: { content: Uint8Array; contentType: string | null; etag: string; hash: Uint8Array };
    }
  | { readonly kind: HostCallKind; readonly err: string };

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

export interface DatabaseAnswer {
  readonly rows: number;
  readonly affected: number;
  /** A JSON array with an object for each row, by column. */
  readonly rowsJson: string;
}

/**
 * The one door from a running component to the world, made for one granted call. It answers every host call,
 * refuses what differs from the plan, and keeps the record of what really happened.
 */
export interface HostDoor {
  call(call: HostCall): Promise<HostAnswer>;
  /** Every effect so far, in order; a copy. Complete once `close` has resolved. */
  effects(): readonly ObservedEffect[];
  /** Aborts what is under way, refuses everything after, waits until nothing can happen any more. */
  close(): Promise<void>;
}
