import type { Database } from "bun:sqlite";

/** Ids that belong to one grant alone. */
const IDS = ["grant_id", "approval_id", "receipt_id"] as const;

/**
 * Grants that have an id which another one has. What has ended is not remembered while entries are taken, so that memory does
 * not grow with the log; each row of the table of grants has been compared with its entry, and so the table remembers it.
 * Constraints of the table are not relied on: an attacker wrote the file.
 * @param from entries before this one are not looked at
 */
export function repeatedGrants(
  db: Database,
  from: number,
): readonly { readonly seq: number; readonly detail: string }[] {
  return IDS.flatMap((id) =>
    db
      .query<{ seq: unknown }, [number]>(
        `SELECT max(seq) AS seq FROM grants WHERE ${id} IS NOT NULL GROUP BY ${id}
         HAVING count(*) > 1 AND max(seq) >= ? ORDER BY 1`,
      )
      .all(from)
      .map(({ seq }) => ({
        seq: typeof seq === "number" ? seq : -1,
        detail: `a ${id.replace("_", " ")} is used twice`,
      })),
  );
}
