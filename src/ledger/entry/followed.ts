import type { EntryPayload } from "./entry.ts";

/** Members of the entries of calls by which nothing that comes after them is judged. */
export const LEFT_OUT = {
  "call.granted": ["action_version", "boundary", "budget", "id", "jkt", "limits", "not_after", "risk", "v"],
  "call.receipt": [
    "action_version",
    "boundary",
    "budget",
    "confirmed",
    "decision",
    "dispatched",
    "duration_ms",
    "error",
    "finished",
    "fuel",
    "id",
    "io_calls",
    "peak_memory_bytes",
    "redactions",
    "started",
    "status",
    "v",
    "verification",
  ],
} as const satisfies { readonly [T in EntryPayload["type"]]?: readonly MemberOf<T>[] };

type Of<T> = Extract<EntryPayload, { readonly type: T }>;
type MemberOf<T> = keyof Of<T>;
type Shortened = keyof typeof LEFT_OUT;

/** What the entries after it are judged by: a payload, or what is left of one that was checked whole. */
export type FollowedEntry =
  | Exclude<EntryPayload, { readonly type: Shortened }>
  | { [T in Shortened]: Omit<Of<T>, (typeof LEFT_OUT)[T][number]> }[Shortened];
