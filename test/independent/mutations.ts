/** Seeded damage to a copy of a ledger: what somebody who can write the file, and in some cases holds its keys, could do. */
import type { Database, SQLQueryBindings } from "bun:sqlite";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { rewrite, withDatabase } from "../ledger/forge.ts";

export interface Target {
  readonly ledger: string;
  /** The folder with the private keys. */
  readonly keys: string;
}

export interface Mutation {
  readonly name: string;
  /** Where the damage may hide in an index, which only one of two readers looks into. */
  readonly raw: boolean;
  apply(target: Target): void;
}

/** A draw: a number below its argument. */
type Draw = (below: number) => number;

const flip = (bytes: Uint8Array, draw: Draw): Buffer => {
  const flipped = Buffer.from(bytes);
  const at = draw(flipped.length);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << draw(7));
  return flipped;
};

const ENTRY_COLUMNS = ["id", "type", "time_ms", "trace_id", "tenant", "principal", "action_id", "decision"];
const GRANT_COLUMNS = [
  "grant_id",
  "seq",
  "approval_id",
  "session_id",
  "principal",
  "receipt_id",
  "receipt_seq",
];
const VALUES: readonly SQLQueryBindings[] = [
  "",
  "x",
  0,
  -1,
  1.5,
  "2020-01-01T00:00:00.000Z",
  Buffer.from("x"),
];

function pick<T>(from: readonly T[], draw: Draw): T {
  const one = from[draw(from.length)];
  if (one === undefined) throw new RangeError("nothing to pick from");
  return one;
}

const count = (db: Database, table: string): number =>
  db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;

/** Changes one stored value of a random row. */
function change(
  db: Database,
  table: string,
  column: string,
  to: (value: unknown) => SQLQueryBindings,
  draw: Draw,
) {
  const key = { entries: "seq", checkpoints: "size", grants: "grant_id" }[table] ?? "";
  const row = db
    .query<{ key: SQLQueryBindings; value: unknown }, [number]>(
      `SELECT ${key} AS key, ${column} AS value FROM ${table} ORDER BY ${key} LIMIT 1 OFFSET ?`,
    )
    .get(draw(count(db, table)));
  if (row === null) return;
  db.query(`UPDATE OR REPLACE ${table} SET ${column} = ? WHERE ${key} = ?`).run(to(row.value), row.key);
}

const flipped = (draw: Draw) => (value: unknown) =>
  value instanceof Uint8Array ? flip(value, draw) : flip(Buffer.from(String(value)), draw).toString("latin1");

/** An edit of revocations of keys alone. */
const revised = (text: string, edit: (text: string) => string): string =>
  text.includes('"type":"key.revoked"') ? edit(text) : text;

/** Edits of one payload that its key signs again, with every link after it made anew. */
const EDITS: readonly ((text: string) => string)[] = [
  (text) => text.replace(/\}$/, ',"zz":1}'),
  (text) => text.replace(/^\{("[a-z_]+":(?:"[^"]*"|\d+)),("[a-z_]+":(?:"[^"]*"|\d+)),/, "{$2,$1,"),
  (text) => text.replace(/"time":"20/, '"time":"99'),
  (text) => text.replace(/"time":"([^T]*)T\d\d/, '"time":"$1T25'),
  (text) => text.replace(/"v":1\}/, '"v":2}'),
  (text) => text.replace(/"v":1\}/, '"v":1.0}'),
  (text) => text.replace(/"epoch":(\d+)/, (_, epoch) => `"epoch":${Number(epoch) + 1}`),
  (text) => text.replace(/"seq":(\d+)/, (_, seq) => `"seq":${Number(seq) + 1}`),
  (text) => text.replace(/"tenant":"[^"]*"/, '"tenant":"other"'),
  (text) => text.replace(/"policy_version":"[^"]*"/, '"policy_version":"other"'),
  (text) => text.replace(/"(grant|receipt|approval)_id":"../, '"$1_id":"ff'),
  (text) => text.replace(/"log":"../, '"log":"ff'),
  (text) => text.replace(/"decision":"[a-z_]+"/, '"decision":"approve"'),
  (text) => text.replace(/"(hosts|paths|connections|approvers|effects|reasons)":\[[^\]]+\]/, '"$1":[]'),
  (text) => text.replace(/"quorum":1/, '"quorum":2'),
  (text) => text.replace(/"purpose":"effect"/, '"purpose":"read_back"'),
  (text) => text.replace(/"(jkt|kid|previous_kid)":"./, '"$1":"~'),
  // What the recovery key has said of another key is not for the key that takes over to change.
  (text) => revised(text, (text) => text.replace(/"size":(\d+)/, (_, size) => `"size":${Number(size) - 1}`)),
  (text) =>
    revised(text, (text) =>
      text.replace(/"statement":"(.*?)"/, (_, jws) => `"statement":"${jws.slice(0, -4)}AAAA"`),
    ),
  (text) => revised(text, (text) => text.replace(/"consistency":\["../, '"consistency":["00')),
  (text) => revised(text, (text) => text.replace(/"successor":\{.*?\}.*?\}/, '"successor":null')),
  (text) => revised(text, (text) => text.replace(/"possession":"..../, '"possession":"AAAA')),
  (text) => text.replace(/"type":"[a-z.]+"/, '"type":"gate.stopped"'),
];

type Change = (db: Database, draw: Draw) => void;

const CHANGES: Readonly<Record<string, Change>> = {
  "a flipped bit of an entry": (db, draw) => change(db, "entries", "jws", flipped(draw), draw),
  "a flipped bit of a hash": (db, draw) => change(db, "entries", "hash", flipped(draw), draw),
  "another column of an entry": (db, draw) =>
    change(db, "entries", pick(ENTRY_COLUMNS, draw), () => pick(VALUES, draw), draw),
  "an entry of another class": (db, draw) =>
    change(db, "entries", pick(["jws", "hash"], draw), () => pick(VALUES, draw), draw),
  "no column of an entry": (db, draw) =>
    change(db, "entries", pick(ENTRY_COLUMNS.slice(3), draw), () => null, draw),
  "a deleted entry": (db, draw) =>
    db.query("DELETE FROM entries WHERE seq = ?").run(draw(count(db, "entries"))),
  "a cut tail": (db, draw) => db.query("DELETE FROM entries WHERE seq >= ?").run(draw(count(db, "entries"))),
  "a cut tail without its checkpoints and rows": (db, draw) => {
    const from = draw(count(db, "entries"));
    for (const sql of [
      "DELETE FROM entries WHERE seq >= ?",
      "DELETE FROM grants WHERE seq >= ?",
      "UPDATE grants SET receipt_id = NULL, receipt_seq = NULL WHERE receipt_seq >= ?",
      "DELETE FROM checkpoints WHERE size > ?",
      "DELETE FROM nodes WHERE ((idx + 1) << level) > ?",
    ])
      db.query(sql).run(from);
  },
  "a moved entry": (db, draw) => change(db, "entries", "seq", () => draw(1000), draw),
  "two entries in each other's place": (db, draw) => {
    const [a, b] = [draw(count(db, "entries")), draw(count(db, "entries"))];
    const read = db.query<{ jws: string; hash: Uint8Array }, [number]>(
      "SELECT jws, hash FROM entries WHERE seq = ?",
    );
    const [first, second] = [read.get(a), read.get(b)];
    if (first === null || second === null) return;
    const write = db.query("UPDATE entries SET jws = ?, hash = ? WHERE seq = ?");
    write.run(second.jws, second.hash, a);
    write.run(first.jws, first.hash, b);
  },
  "an entry twice": (db, draw) =>
    db
      .query(
        `INSERT INTO entries SELECT (SELECT max(seq) + 1 FROM entries), 'copy', type, time_ms, trace_id, tenant,
           principal, action_id, decision, jws, hash FROM entries WHERE seq = ?`,
      )
      .run(draw(count(db, "entries"))),
  "a flipped bit of a checkpoint": (db, draw) =>
    change(db, "checkpoints", pick(["root", "note"], draw), flipped(draw), draw),
  "a checkpoint of another size": (db, draw) => change(db, "checkpoints", "size", () => draw(1000), draw),
  "a checkpoint of another class": (db, draw) =>
    change(db, "checkpoints", pick(["root", "note"], draw), () => pick(VALUES, draw), draw),
  "no checkpoint": (db) => db.run("DELETE FROM checkpoints"),
  "a checkpoint with a witness": (db) =>
    db
      .query("UPDATE checkpoints SET note = note || ?")
      .run(`— w ${Buffer.alloc(76, 1).toString("base64")}\n`),
  "another column of a grant": (db, draw) =>
    change(db, "grants", pick(GRANT_COLUMNS, draw), () => pick(VALUES, draw), draw),
  "no column of a grant": (db, draw) =>
    change(db, "grants", pick(["approval_id", "receipt_id", "receipt_seq"], draw), () => null, draw),
  "a deleted grant row": (db, draw) =>
    db
      .query("DELETE FROM grants WHERE grant_id IN (SELECT grant_id FROM grants LIMIT 1 OFFSET ?)")
      .run(draw(count(db, "grants"))),
  "a stray grant row": (db, draw) =>
    db
      .query("INSERT INTO grants (grant_id, seq, session_id, principal) VALUES ('stray', ?, 's', 'p')")
      .run(1000 + draw(9)),
};

/** Damage to the file itself. */
const RAW: Readonly<Record<string, (bytes: Buffer, draw: Draw) => Buffer>> = {
  "a flipped bit of the file": flip,
  "a page of zeros": (bytes, draw) => {
    const at = draw(bytes.length / 4096) * 4096;
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(4096), bytes.subarray(at + 4096)]);
  },
  "a cut file": (bytes, draw) => bytes.subarray(0, draw(bytes.length)),
};

/** `each` draws of every kind of damage, the same for the same seed. */
export function mutations(seed: number, each: number): Mutation[] {
  const draws = (name: string, i: number): Draw => {
    const stream = fc.sample(fc.nat(0x7fffffff), { seed: seed + i * 1009 + name.length * 7919, numRuns: 8 });
    let next = 0;
    return (below) => (below < 1 ? 0 : (stream[next++ % stream.length] ?? 0) % below);
  };
  const times = Array.from({ length: each }, (_, i) => i);
  return [
    ...Object.entries(CHANGES).flatMap(([name, change]) =>
      times.map((i) => ({
        name: `${name} (${i})`,
        raw: false,
        apply: ({ ledger }: Target) => withDatabase(ledger, (db) => change(db, draws(name, i))),
      })),
    ),
    ...EDITS.flatMap((edit, nth) =>
      times.map((i) => ({
        name: `signed again: ${edit.toString()} (${i})`,
        raw: false,
        apply: ({ ledger, keys }: Target) => {
          let left = draws("edit", nth * 31 + i)(12);
          // In the place of one of the payloads that it changes at all.
          const once = (text: string) => (edit(text) !== text && left-- === 0 ? edit(text) : text);
          rewrite(ledger, { keys, edit: once });
        },
      })),
    ),
    ...Object.entries(RAW).flatMap(([name, change]) =>
      times.map((i) => ({
        name: `${name} (${i})`,
        raw: true,
        apply: ({ ledger }: Target) => {
          const bytes = change(readFileSync(ledger), draws(name, i));
          truncateSync(ledger, 0);
          writeFileSync(ledger, bytes);
        },
      })),
    ),
  ];
}
