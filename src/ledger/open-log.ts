import type { Database, Statement } from "bun:sqlite";
import { rfc3339 } from "../core/clock.ts";
import type { Json } from "../core/json.ts";
import type { Ed25519Jwk, P256Jwk } from "../keys/jwk.ts";
import { type EntryPayload, project } from "./entry/entry.ts";
import { leafHash, signEntry } from "./entry/jws.ts";
import type { Keyring } from "./keyring.ts";
import { type LoadedLog, loadLog } from "./load.ts";
import { SCHEMA_VERSION } from "./store/database.ts";

/** Puts signed entries into their table, with the columns that follow from them. */
export class EntryStore {
  private readonly insert: Statement;

  constructor(db: Database) {
    this.insert = db.query(
      `INSERT INTO entries (seq, id, type, time_ms, trace_id, tenant, principal, action_id, decision, jws, hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
  }

  /** Returns the leaf hash. */
  write(payload: EntryPayload, jws: string): Buffer {
    const p = project(payload);
    const hash = leafHash(jws);
    const columns = [p.trace_id, p.tenant, p.principal, p.action_id, p.decision];
    this.insert.run(payload.seq, p.id, p.type, p.time_ms, ...columns, jws, hash);
    return hash;
  }
}

/** Opens a new log: four keys, and the entry that introduces them, signed by the first of them. */
export function openLog(
  db: Database,
  {
    keyring,
    now,
    newId,
    gateVersion,
  }: {
    readonly keyring: Keyring;
    /** Milliseconds. */
    readonly now: number;
    readonly newId: () => string;
    readonly gateVersion: string;
  },
): LoadedLog {
  const evidence = keyring.create("evidence");
  const keys = {
    evidence: evidence.jwk as Ed25519Jwk, // made as such for this purpose
    checkpoint: keyring.create("checkpoint").jwk as Ed25519Jwk,
    lease: keyring.create("lease").jwk as P256Jwk,
    recovery: keyring.create("recovery").jwk as Ed25519Jwk,
  };
  const payload = {
    v: 1,
    log: newId(),
    seq: 0,
    id: newId(),
    type: "log.opened",
    time: rfc3339(now),
    prev: null,
    schema: SCHEMA_VERSION,
    gate_version: gateVersion,
    keys,
  } as const;
  const jws = signEntry(payload as unknown as Json, evidence.kid, evidence.key);
  const store = new EntryStore(db);
  db.transaction(() => store.write(payload as EntryPayload, jws))();
  const loaded = loadLog(db);
  if (loaded === null) throw new Error("the opening entry was not stored");
  return loaded;
}
