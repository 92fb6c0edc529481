import { fromBase64url } from "../../core/bytes.ts";
import {
  type Cosignature,
  readVkey,
  verifyCosignature,
  type WitnessKey,
} from "../../ledger/anchor/cosignature.ts";
import {
  certificateDigest,
  isOf,
  type TimestampAuthority,
  tokenOver,
} from "../../ledger/anchor/timestamp/authority.ts";
import { readPem } from "../../ledger/anchor/timestamp/certificate.ts";
import type { TimestampToken } from "../../ledger/anchor/timestamp/token.ts";
import { parseCheckpoint } from "../../ledger/checkpoint.ts";
import type { EntryBody } from "../../ledger/entry/types.ts";
import type { LedgerTransaction } from "../../ledger/writer.ts";
import { readMeta, writeMeta } from "./state.ts";

/** Who is asked to sign checkpoints, and how many of them must. */
export interface AnchorQuorum {
  /** Verifier keys of the configured witnesses. */
  readonly vkeys: readonly string[];
  /** The configured time-stamp authorities, with their certificates as PEM. */
  readonly authorities: readonly {
    readonly name: string;
    readonly pem: string;
    readonly policy: string | null;
  }[];
  readonly quorum: number;
}

export interface CosignatureInput extends AnchorQuorum {
  /** Of the checkpoint. */
  readonly size: number;
  /** The signature line of one witness. */
  readonly line: string;
}

export interface TimestampInput extends AnchorQuorum {
  /** Of the checkpoint. */
  readonly size: number;
  /** Name of the authority that was asked. */
  readonly authority: string;
  /** TimeStampToken, DER as base64url. */
  readonly token: string;
  /** Of the request, decimal. */
  readonly nonce: string;
}

export type AnchorOutcome = "anchored" | "recorded" | "unverified";

/** Keeps a witness's cosignature, once it verified here; see {@link sayAnchored}. */
export function recordCosignature(tx: LedgerTransaction, input: CosignatureInput): AnchorOutcome {
  const { size, line } = input;
  const checkpoint = checkpointOf(tx, size, input);
  const [cosignature] = checkpoint === null ? [] : checkpoint.cosignatures(line);
  if (checkpoint === null || cosignature === undefined) return "unverified";
  tx.db
    .query(
      "INSERT OR REPLACE INTO cosignatures (size, witness, public_key, timestamp, line) VALUES (?, ?, ?, ?, ?)",
    )
    .run(size, cosignature.witness, cosignature.publicKey, cosignature.timestamp, line);
  return sayAnchored(tx, checkpoint);
}

/** Keeps an authority's time stamp, once it verified here; see {@link sayAnchored}. */
export function recordTimestamp(tx: LedgerTransaction, input: TimestampInput): AnchorOutcome {
  const { size, authority, nonce } = input;
  const checkpoint = checkpointOf(tx, size, input);
  const der = fromBase64url(input.token);
  const token = checkpoint === null || der === null ? null : checkpoint.stamp(authority, der);
  if (checkpoint === null || der === null || token?.nonce !== BigInt(nonce)) return "unverified";
  tx.db
    .query(
      "INSERT OR REPLACE INTO timestamps (size, authority, certificate, time_ms, token) VALUES (?, ?, ?, ?, ?)",
    )
    .run(size, authority, certificateDigest(token.signer), token.time, der);
  return sayAnchored(tx, checkpoint);
}

interface CheckedCheckpoint {
  readonly size: number;
  readonly root: Buffer;
  readonly quorum: number;
  /** The cosignature in a line, when it is one of a configured witness. */
  cosignatures(line: string): readonly Cosignature[];
  /** The time stamp in a token, when it is one of the configured authority of that name. */
  stamp(authority: string, token: Buffer): TimestampToken | null;
}

function checkpointOf(
  { db }: LedgerTransaction,
  size: number,
  { vkeys, authorities, quorum }: AnchorQuorum,
): CheckedCheckpoint | null {
  const row = db.query<{ note: string }, [number]>("SELECT note FROM checkpoints WHERE size = ?").get(size);
  const parsed = row === null ? null : parseCheckpoint(row.note);
  if (parsed === null || parsed.checkpoint.size !== size) return null;
  const witnesses: WitnessKey[] = vkeys.flatMap((vkey) => readVkey(vkey) ?? []);
  const known = new Map<string, TimestampAuthority>(
    authorities.map(({ name, pem, policy }) => [name, { name, trusted: readPem(pem), policy }]),
  );
  return {
    size,
    root: parsed.checkpoint.root,
    quorum,
    cosignatures: (line) =>
      witnesses.flatMap((witness) => verifyCosignature(parsed.text, line, witness) ?? []),
    stamp: (name, der) => {
      const authority = known.get(name);
      const token = authority === undefined ? null : tokenOver(parsed.text, der);
      return authority !== undefined && token !== null && isOf(authority, token) ? token : null;
    },
  };
}

/**
 * Says `checkpoint.anchored` once a quorum of configured witnesses and authorities has signed. This is the only place
 * that says so, and it verifies every signature itself: neither the caller nor the tables are believed.
 */
function sayAnchored(tx: LedgerTransaction, checkpoint: CheckedCheckpoint): AnchorOutcome {
  const { size, root, quorum } = checkpoint;
  // By the key that signed: whoever signs under two names is one.
  const signed = new Map([...storedCosignatures(tx, checkpoint), ...storedStamps(tx, checkpoint)]);
  const said = Number(readMeta(tx.db, "anchored_size") ?? "-1");
  if (signed.size < Math.max(1, quorum) || size <= said) return "recorded";
  writeMeta(tx.db, "anchored_size", String(size));
  tx.append("checkpoint.anchored", {
    size,
    root: root.toString("hex"),
    quorum,
    cosignatures: [...signed.values()],
  });
  return "anchored";
}

type Signed = EntryBody<"checkpoint.anchored">["cosignatures"][number];

function storedCosignatures(
  { db }: LedgerTransaction,
  { size, cosignatures }: CheckedCheckpoint,
): readonly (readonly [signer: string, Signed])[] {
  const stored = db
    .query<{ line: string }, [number]>("SELECT line FROM cosignatures WHERE size = ? ORDER BY rowid")
    .all(size);
  return stored
    .flatMap((kept) => cosignatures(kept.line))
    .map(({ witness, publicKey, timestamp, signature }) => [
      publicKey,
      { witness, public_key: publicKey, timestamp, signature },
    ]);
}

function storedStamps(
  { db }: LedgerTransaction,
  { size, stamp }: CheckedCheckpoint,
): readonly (readonly [signer: string, Signed])[] {
  const stored = db
    .query<{ authority: string; token: unknown }, [number]>(
      "SELECT authority, token FROM timestamps WHERE size = ? ORDER BY rowid",
    )
    .all(size);
  return stored.flatMap(({ authority, token: der }) => {
    const bytes = der instanceof Uint8Array ? Buffer.from(der) : Buffer.alloc(0);
    const token = stamp(authority, bytes);
    if (token === null) return [];
    const certificate = certificateDigest(token.signer);
    const time = new Date(token.time).toISOString();
    return [
      [certificate, { kind: "rfc3161", authority, certificate, time, token: bytes.toString("base64url") }],
    ] as const;
  });
}
