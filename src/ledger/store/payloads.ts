import type { Database, Statement } from "bun:sqlite";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, constants, fdatasync, openSync } from "node:fs";
import { equalSecrets, sha256 } from "../../core/bytes.ts";
import type { Commitment } from "../entry/types.ts";
import { LedgerError } from "../errors.ts";

/** Bytes that stay out of the log, with the salt under which the log commits to them. */
export interface Payload {
  readonly kind: "call" | "output" | "fs_root" | "request";
  readonly salt: Uint8Array;
  readonly bytes: Uint8Array;
}

export const SALT_BYTES = 32;

export function makePayload(kind: Payload["kind"], bytes: Uint8Array): Payload {
  return { kind, salt: randomBytes(SALT_BYTES), bytes };
}

export function commit(payload: Payload): Commitment {
  return { commitment: sha256(payload.salt, payload.bytes).toString("hex"), bytes: payload.bytes.length };
}

/** The commitment to any further fact of a call (a path, a body's digest), under the salt of its payload. */
export function commitUnder(salt: Uint8Array, fact: string | Uint8Array): string {
  return sha256(salt, fact).toString("hex");
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Writes payloads, each sealed (AES-256-GCM) under a key of its own, so that dropping the key destroys it. The sync of
 * a commit runs on the thread pool, beside the commit of the entries that name the payloads.
 */
export class PayloadWriter {
  private readonly db: Database;
  private readonly insert: Statement;
  private readonly insertKey: Statement;
  /** The write-ahead log, which stays the same file as long as its database is open. SQLite keeps no locks on it. */
  private readonly wal: number;

  constructor(db: Database) {
    this.db = db;
    this.insert = db.query(
      "INSERT INTO payloads (commitment, kind, created_ms, bytes, sealed) VALUES (?, ?, ?, ?, ?)",
    );
    this.insertKey = db.query("INSERT INTO payload_keys (commitment, key) VALUES (?, ?)");
    // A commit leaves its frames in the write-ahead log unsynced (https://sqlite.org/wal.html, 2.3); `write` syncs them.
    db.run("PRAGMA synchronous = NORMAL");
    this.wal = openSync(`${db.filename}-wal`, constants.O_RDWR | constants.O_NOFOLLOW);
  }

  /** Stores all in one transaction, at once; resolves when it is durable. Rejects when that is not known. */
  async write(payloads: readonly Payload[], now: number): Promise<void> {
    if (payloads.length === 0) return;
    this.db.transaction(() => {
      for (const payload of payloads) this.store(payload, now);
    })();
    await new Promise<void>((resolve, reject) => {
      fdatasync(this.wal, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): void {
    closeSync(this.wal);
  }

  private store(payload: Payload, now: number): void {
    const { commitment } = commit(payload);
    const key = randomBytes(32);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(commitment));
    const sealed = Buffer.concat([
      nonce,
      cipher.update(payload.salt),
      cipher.update(payload.bytes),
      cipher.final(),
    ]);
    this.insert.run(
      commitment,
      payload.kind,
      now,
      payload.bytes.length,
      Buffer.concat([sealed, cipher.getAuthTag()]),
    );
    this.insertKey.run(commitment, key);
  }
}

/** Reads payloads back and checks each against the commitment that names it. */
export class PayloadReader {
  private readonly select: Statement<{ sealed: Uint8Array; key: Uint8Array; kind: string }, [string]>;

  constructor(db: Database) {
    this.select = db.query(
      "SELECT sealed, key, kind FROM payloads JOIN payload_keys USING (commitment) WHERE commitment = ?",
    );
  }

  /** Throws `payload_missing` when it was pruned, is damaged, or is not what the log committed to. */
  read(commitment: string): Payload {
    const row = this.select.get(commitment);
    if (row === null) throw new LedgerError("payload_missing", "the payload is gone");
    const sealed = Buffer.from(row.sealed);
    try {
      const decipher = createDecipheriv("aes-256-gcm", row.key, sealed.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(commitment))
        .setAuthTag(sealed.subarray(-TAG_BYTES));
      const plain = Buffer.concat([
        decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)),
        decipher.final(),
      ]);
      const payload = {
        kind: row.kind as Payload["kind"], // written by PayloadWriter
        salt: plain.subarray(0, SALT_BYTES),
        bytes: plain.subarray(SALT_BYTES),
      };
      if (!equalSecrets(commit(payload).commitment, commitment)) throw new Error("commitment differs");
      return payload;
    } catch (cause) {
      throw new LedgerError("payload_missing", "the payload does not match its commitment", { cause });
    }
  }
}

/** A secret of the payload store; keyed digests of what clients choose (idempotency keys) are made with it. */
export function pepper(db: Database): Uint8Array {
  const row = db.query<{ value: Uint8Array }, []>("SELECT value FROM meta WHERE name = 'pepper'").get();
  if (row !== null) return row.value;
  const value = randomBytes(32);
  db.query("INSERT INTO meta (name, value) VALUES ('pepper', ?)").run(value);
  // Durable before its first use, whatever the connection does about single commits.
  db.run("PRAGMA wal_checkpoint(FULL)");
  return value;
}
