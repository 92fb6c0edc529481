import type { EffectEnd } from "./reached.ts";

export interface StorageEffect extends EffectEnd {
  readonly kind: "storage";
  readonly operation: "put" | "get";
  readonly connection: string;
  /** `scheme://host:port`. */
  readonly endpoint: string;
  readonly bucket: string;
  /** To be committed to and not shown. */
  readonly key: string;
  /** The pinned address that was dialled; null when none was. */
  readonly address: string | null;
  readonly requestBytes: number;
  /** SHA-256 hex of the content that was sent; null for get. */
  readonly requestHash: string | null;
  /** Null when no status line arrived. */
  readonly status: number | null;
  readonly responseBytes: number;
  /** SHA-256 hex of the content that came back; null for put, and when it was cut off. */
  readonly responseHash: string | null;
  readonly etag: string | null;
  /** The store's name of this version of the object; null where it keeps none. */
  readonly version: string | null;
}
