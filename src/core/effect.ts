import type { DatabaseEffect } from "./effect/database.ts";
import type { FsEffect } from "./effect/fs.ts";
import type { HttpEffect } from "./effect/http.ts";
import type { MailEffect } from "./effect/mail.ts";
import type { QueueEffect } from "./effect/queue.ts";
import type { StorageEffect } from "./effect/storage.ts";

export type { DatabaseEffect } from "./effect/database.ts";
export type { HostErrorCode } from "./effect/error-code.ts";
export type { FsEffect } from "./effect/fs.ts";
export type { HttpEffect } from "./effect/http.ts";
export type { MailEffect } from "./effect/mail.ts";
export type { QueueEffect } from "./effect/queue.ts";
export type { Reached } from "./effect/reached.ts";
export type { StorageEffect } from "./effect/storage.ts";

/**
 * What the host itself saw of one effect. Brokers append one record per host call that passed their checks, before
 * the first byte leaves, and complete it afterwards. One file of `effect/` for each kind.
 */
export type ObservedEffect =
  | HttpEffect
  | FsEffect
  | DatabaseEffect
  | MailEffect
  | QueueEffect
  | StorageEffect;

export type EffectOf<K extends ObservedEffect["kind"]> = Extract<ObservedEffect, { readonly kind: K }>;

/** The effect that was asked for, without the requests that only looked what came of it. */
export function withoutReadBacks(effects: readonly ObservedEffect[]): readonly ObservedEffect[] {
  return effects.filter((effect) => effect.kind !== "http" || effect.purpose === "effect");
}
