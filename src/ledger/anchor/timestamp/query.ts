import { sha256 } from "../../../core/bytes.ts";
import { DerReader, malformed, sequence, smallInteger, TAG } from "./der.ts";

function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  if (content.length > 0xff) throw new RangeError("longer than any part of a query");
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

/** X.690 §8.3 for a non-negative integer. */
function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return element(TAG.integer, (bytes[0] ?? 0) >= 0x80 ? Buffer.of(0) : Buffer.alloc(0), bytes);
}

function identifier(dotted: string): Buffer {
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  const octets = [first * 40n + second, ...rest].flatMap((arc) => {
    const septets = [Number(arc & 0x7fn)];
    for (let high = arc >> 7n; high > 0n; high >>= 7n) septets.unshift(Number(high & 0x7fn) | 0x80);
    return septets;
  });
  return element(TAG.oid, Buffer.from(octets));
}

const SHA256 = "2.16.840.1.101.3.4.2.1";

/**
 * A TimeStampReq (RFC 3161 §2.4.1) for SHA-256 of the text, that asks for the signer's certificate.
 * @param policy dotted; null to leave it to the authority
 */
export function timestampQuery(text: string, nonce: bigint, policy: string | null): Buffer {
  return element(
    TAG.sequence,
    integer(1n),
    element(
      TAG.sequence,
      element(TAG.sequence, identifier(SHA256), element(TAG.null)),
      element(TAG.octetString, sha256(text)),
    ),
    policy === null ? Buffer.alloc(0) : identifier(policy),
    integer(nonce),
    element(TAG.boolean, Buffer.of(0xff)),
  );
}

/** What a TimeStampResp (RFC 3161 §2.4.2) says: a token not yet looked at, or the status that takes its place. */
export type TimestampReply =
  | { readonly kind: "granted"; readonly token: Buffer }
  | { readonly kind: "rejected"; readonly status: number };

/** Throws `timestamp_malformed`. An attacker controls the answer. */
export function readReply(answer: Buffer): TimestampReply {
  const reader = sequence(DerReader.only(answer, TAG.sequence));
  const info = sequence(reader.next(TAG.sequence));
  const status = smallInteger(info.next(TAG.integer));
  info.optional(TAG.sequence); // statusString
  info.optional(TAG.bitString); // failInfo
  info.end();
  const token = reader.done ? null : reader.next(TAG.sequence).whole;
  reader.end();
  // Granted, or granted with modifications: what it grants is checked all the same.
  if (status > 1) return { kind: "rejected", status };
  return token === null ? malformed("a grant without a token") : { kind: "granted", token };
}
