import type { KeyObject } from "node:crypto";
import { admitEd25519 } from "../../keys/admission.ts";
import { thumbprint } from "../../keys/jwk.ts";
import { isFault, readPayload } from "../entry/entry.ts";
import { leafHash, openJws, verifyJws } from "../entry/jws.ts";

/** What can be said of an entry without those before it. */
export interface Vouched {
  readonly leaf: Buffer;
  /**
   * In canonical form, its payload closed and canonical, and signed by the key whose thumbprint its header names.
   * Whether that key may sign there is for the one who knows the log. False says nothing: look again.
   */
  readonly sound: boolean;
}

/** Verifying keys by thumbprint, which names its key by itself: it matters not who gave the key. */
export type KeyDirectory = ReadonlyMap<string, KeyObject>;

/** Takes raw public keys (RFC 8037 `x`) into a directory; those that are not admitted stay out. */
export function keyDirectory(keys: readonly string[]): KeyDirectory {
  const directory = new Map<string, KeyObject>();
  for (const x of keys) {
    const jwk = { kty: "OKP", crv: "Ed25519", x } as const;
    const key = admitEd25519(jwk);
    if (key !== null) directory.set(thumbprint(jwk), key);
  }
  return directory;
}

export function vouch(jws: string, keys: KeyDirectory): Vouched {
  const opened = openJws(jws);
  const key = opened === null ? undefined : keys.get(opened.kid);
  const sound =
    opened !== null && key !== undefined && !isFault(readPayload(opened.payload)) && verifyJws(opened, key);
  return { leaf: leafHash(jws), sound };
}

/** No compact JWS has it (RFC 7515 §7.1); and without it the bytes of a text are the text. */
const FOREIGN = /[^A-Za-z0-9_.-]/;

/** Entries as bytes that change threads without a copy: lines of ASCII. What no entry can be goes as nothing. */
export function packEntries(entries: readonly string[]): Uint8Array<ArrayBuffer> {
  const lines = entries.map((jws) => (FOREIGN.test(jws) ? "" : jws));
  return new TextEncoder().encode(lines.join("\n"));
}

const RECORD = 33;

/** One record per entry: 1 or 0 for sound, and the leaf hash. */
export function vouchPacked(packed: Uint8Array, keys: KeyDirectory): Uint8Array<ArrayBuffer> {
  const entries = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
    .toString("utf8")
    .split("\n");
  const answer = new Uint8Array(entries.length * RECORD);
  for (const [i, jws] of entries.entries()) {
    const { leaf, sound } = vouch(jws, keys);
    answer[i * RECORD] = sound ? 1 : 0;
    answer.set(leaf, i * RECORD + 1);
  }
  return answer;
}

/** Reads an answer; an entry that is not sound went there changed, perhaps, so its leaf hash is made here. */
export function unpackVouched(answer: Uint8Array, entries: readonly string[]): Vouched[] {
  if (answer.length !== entries.length * RECORD) throw new RangeError("an answer for other entries");
  return entries.map((jws, i) => {
    const sound = answer[i * RECORD] === 1;
    const leaf = sound ? Buffer.from(answer.subarray(i * RECORD + 1, (i + 1) * RECORD)) : leafHash(jws);
    return { leaf, sound };
  });
}
