import type { Database } from "bun:sqlite";
import { openJws } from "../entry/jws.ts";

/** More rotations than a log will see; the keys of any beyond are found when their turn comes. */
const MOST = 4096;

/**
 * Raw Ed25519 keys that the entries name, so that signatures can be checked ahead of the key history. Nothing here
 * is believed: a key is only ever asked for by its thumbprint, and one that is missing costs time and no more.
 */
export function keysNamedIn(db: Database): string[] {
  const rows = db
    .query<{ jws: unknown }, [number]>(
      "SELECT jws FROM entries WHERE seq = 0 OR type IN ('key.rotated', 'key.revoked') ORDER BY seq LIMIT ?",
    )
    .all(MOST);
  return rows.flatMap(({ jws }) => {
    const opened = typeof jws === "string" ? openJws(jws) : null;
    return opened === null
      ? []
      : [...opened.payload.matchAll(/"x":"([A-Za-z0-9_-]{43})"/g)].flatMap(([, x]) => x ?? []);
  });
}
