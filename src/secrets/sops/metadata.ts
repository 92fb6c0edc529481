import { damaged, unavailable } from "../errors.ts";
import { type Rule, ruleOf } from "./rules.ts";
import type { Plain } from "./tree.ts";

/** More than this would let a file make its reader try keys for long. */
const MOST_RECIPIENTS = 64;

export interface Wrapped {
  /** An age recipient, as the file names it; nothing proves that `enc` is for it. */
  readonly recipient: string;
  /** The data key as an armored age file. */
  readonly enc: string;
}

/** The part of SOPS's own metadata that is used here. None of it is trusted before the MAC has been checked. */
export interface Metadata {
  readonly age: readonly Wrapped[];
  /** Recipients of other kinds (KMS, PGP) that wrap the data key too. */
  readonly others: boolean;
  /** The additional data of the MAC, RFC 3339. */
  readonly lastModified: string;
  readonly mac: string;
  readonly macOnlyEncrypted: boolean;
  readonly rule: Rule;
  readonly raw: { readonly [name: string]: Plain };
}

const OTHER_KINDS = ["kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp"];

/** Checks a file's metadata. Throws `secrets_damaged`, and `secrets_unavailable` where the data key is out of reach. */
export function readMetadata(plain: Plain): Metadata {
  if (!isTable(plain)) throw damaged("it has no sops metadata");
  const { lastmodified, mac } = plain;
  if (typeof lastmodified !== "string" || !/^[0-9T:Z+-]{20,25}$/.test(lastmodified))
    throw damaged("its lastmodified is no time");
  if (typeof mac !== "string" || mac === "") throw damaged("it has no mac");
  if (!isEmpty(plain.key_groups))
    throw unavailable(
      "the secrets file has key groups, which are not supported",
      "use one group of age keys",
    );
  const age = plain.age ?? [];
  if (!Array.isArray(age)) throw damaged("its age recipients are no list");
  if (age.length > MOST_RECIPIENTS) throw damaged(`it has more than ${MOST_RECIPIENTS} recipients`);
  return {
    age: age.map(wrapped),
    others: OTHER_KINDS.some((kind) => !isEmpty(plain[kind])),
    lastModified: lastmodified,
    mac,
    // dotenv knows texts only.
    macOnlyEncrypted: plain.mac_only_encrypted === true || plain.mac_only_encrypted === "true",
    rule: ruleOf(plain),
    raw: plain,
  };
}

function wrapped(entry: Plain): Wrapped {
  if (!isTable(entry) || typeof entry.recipient !== "string" || typeof entry.enc !== "string")
    throw damaged("an age recipient without its key");
  return { recipient: entry.recipient, enc: entry.enc };
}

function isTable(plain: Plain | undefined): plain is { readonly [name: string]: Plain } {
  return typeof plain === "object" && plain !== null && !Array.isArray(plain);
}

function isEmpty(plain: Plain | undefined): boolean {
  return (
    plain === undefined || plain === null || plain === "" || (Array.isArray(plain) && plain.length === 0)
  );
}
