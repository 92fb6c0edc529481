import { fromBase64 } from "../../../core/bytes.ts";
import { signedBy } from "./algorithm.ts";
import {
  booleanOf,
  context,
  DerReader,
  type Element,
  malformed,
  octetsOf,
  oidOf,
  sequence,
  smallInteger,
  TAG,
  timeOf,
} from "./der.ts";

/** What is read of an X.509 certificate (RFC 5280 §4.1). Reading it says nothing about who signed it. */
export interface Certificate {
  readonly der: Buffer;
  /** The content of its serial number. */
  readonly serial: Buffer;
  /** Names as they are encoded: compared byte by byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** The last common name of the subject; null when it has none that can be read. */
  readonly commonName: string | null;
  /** Milliseconds since the epoch, both included. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly keyIdentifier: Buffer | null;
  /** Whether it may issue others; `pathLength` is how many issuers may stand between, null for any number. */
  readonly ca: boolean;
  readonly pathLength: number | null;
  /** The first two octets of keyUsage, most significant bit first; null when it is not restricted. */
  readonly keyUsage: number | null;
  readonly purposes: { readonly critical: boolean; readonly ids: readonly string[] } | null;
  readonly signed: { readonly bytes: Buffer; readonly algorithm: Element; readonly signature: Buffer };
}

export const KEY_USAGE = { digitalSignature: 0x8000, nonRepudiation: 0x4000, keyCertSign: 0x0400 } as const;

/** Reads a certificate of version 3. Throws `timestamp_malformed`, also on a critical extension that it does not know. */
export function readCertificate(element: Element): Certificate {
  const outer = sequence(element);
  const body = outer.next(TAG.sequence);
  const algorithm = outer.next(TAG.sequence);
  const signature = octetsOf(outer.next(TAG.bitString));
  outer.end();
  const reader = sequence(body);
  const version = smallInteger(DerReader.only(reader.next(context(0)).content, TAG.integer));
  if (version !== 2) malformed("a certificate of another version than 3");
  const serial = reader.next(TAG.integer).content;
  // RFC 5280 §4.1.1.2: both name the same algorithm, or what was signed is not what is claimed.
  if (!reader.next(TAG.sequence).whole.equals(algorithm.whole)) malformed("two signature algorithms");
  const issuer = reader.next(TAG.sequence).whole;
  const validity = sequence(reader.next(TAG.sequence));
  const [notBefore, notAfter] = [timeOf(validity.any()), timeOf(validity.any())];
  validity.end();
  const subject = reader.next(TAG.sequence).whole;
  const publicKey = reader.next(TAG.sequence).whole;
  reader.optional(context(1, false)); // issuerUniqueID and subjectUniqueID: nobody goes by them
  reader.optional(context(2, false));
  const extensions = reader.optional(context(3));
  reader.end();
  return {
    der: element.whole,
    serial,
    issuer,
    subject,
    commonName: commonNameOf(subject),
    notBefore,
    notAfter,
    publicKey,
    signed: { bytes: body.whole, algorithm, signature },
    ...readExtensions(extensions),
  };
}

type Extensions = Pick<Certificate, "keyIdentifier" | "ca" | "pathLength" | "keyUsage" | "purposes">;

const SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
const KEY_USAGE_ID = "2.5.29.15";
const BASIC_CONSTRAINTS = "2.5.29.19";
const CERTIFICATE_POLICIES = "2.5.29.32";
const EXTENDED_KEY_USAGE = "2.5.29.37";

function readExtensions(field: Element | null): Extensions {
  const found: { -readonly [K in keyof Extensions]: Extensions[K] } = {
    keyIdentifier: null,
    ca: false,
    pathLength: null,
    keyUsage: null,
    purposes: null,
  };
  if (field === null) return found;
  const seen = new Set<string>();
  for (const one of sequence(DerReader.only(field.content, TAG.sequence)).rest()) {
    const reader = sequence(one);
    const id = oidOf(reader.next(TAG.oid));
    const flag = reader.optional(TAG.boolean);
    const critical = flag !== null && booleanOf(flag);
    const value = reader.next(TAG.octetString).content;
    reader.end();
    if (seen.has(id)) malformed("an extension twice");
    seen.add(id);
    if (id === SUBJECT_KEY_IDENTIFIER) found.keyIdentifier = DerReader.only(value, TAG.octetString).content;
    else if (id === KEY_USAGE_ID) {
      const { content } = DerReader.only(value, TAG.bitString);
      found.keyUsage = ((content[1] ?? 0) << 8) | (content[2] ?? 0);
    } else if (id === BASIC_CONSTRAINTS) {
      const constraints = sequence(DerReader.only(value, TAG.sequence));
      const ca = constraints.optional(TAG.boolean);
      found.ca = ca !== null && booleanOf(ca);
      const length = constraints.optional(TAG.integer);
      found.pathLength = length === null ? null : smallInteger(length);
      constraints.end();
    } else if (id === EXTENDED_KEY_USAGE) {
      const ids = sequence(DerReader.only(value, TAG.sequence)).rest();
      found.purposes = { critical, ids: ids.map(oidOf) };
      // Which policies it was issued under is nothing that is asked here.
    } else if (critical && id !== CERTIFICATE_POLICIES)
      malformed(`the critical extension ${id} is not known`);
  }
  return found;
}

const COMMON_NAME = "2.5.4.3";
/** UTF8String, PrintableString, IA5String. */
const TEXTS: ReadonlySet<number> = new Set([0x0c, 0x13, 0x16]);

/** The last common name of a Name; null when it has none that can be read. */
function commonNameOf(name: Buffer): string | null {
  const names = sequence(DerReader.only(name, TAG.sequence))
    .rest()
    .flatMap(({ tag, content }) => (tag === TAG.set ? new DerReader(content).rest() : []))
    .flatMap((pair) => {
      const reader = sequence(pair);
      const id = oidOf(reader.next(TAG.oid));
      const { tag, content } = reader.any();
      return id === COMMON_NAME && TEXTS.has(tag) ? [content.toString("utf8")] : [];
    });
  return names.at(-1) ?? null;
}

export function validAt({ notBefore, notAfter }: Certificate, time: number): boolean {
  return notBefore <= time && time <= notAfter;
}

const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
const ANY_PURPOSE = "2.5.29.37.0";

/** RFC 3161 §2.3: the purpose must be time stamping, that alone, and critical. */
export function mayStamp({ purposes, keyUsage }: Certificate): boolean {
  const signs = KEY_USAGE.digitalSignature | KEY_USAGE.nonRepudiation;
  return (
    purposes?.critical === true &&
    purposes.ids.length === 1 &&
    purposes.ids[0] === TIME_STAMPING &&
    (keyUsage === null || (keyUsage & signs) !== 0)
  );
}

/** Issuers in a chain. */
const LONGEST_CHAIN = 6;

/** Whether it may stand above that many issuers and one stamping certificate (RFC 5280 §6.1.4). */
function mayIssue({ ca, pathLength, keyUsage, purposes }: Certificate, below: number): boolean {
  return (
    ca &&
    (pathLength === null || below <= pathLength) &&
    (keyUsage === null || (keyUsage & KEY_USAGE.keyCertSign) !== 0) &&
    (purposes === null || purposes.ids.some((id) => id === TIME_STAMPING || id === ANY_PURPOSE))
  );
}

/**
 * Whether a chain of certificates, each valid at that time and issued by the next, leads to one of the trusted.
 * A trusted certificate that is the signer's own is a chain as well. Each stands in the way once at most, so that the
 * work is bounded by their number. Nobody is asked whether one was revoked.
 */
export function chainsTo(
  trusted: readonly Certificate[],
  signer: Certificate,
  others: readonly Certificate[],
  time: number,
): boolean {
  const left = new Set([...trusted, ...others]);
  const leads = (one: Certificate, below: number): boolean => {
    if (!validAt(one, time) || below > LONGEST_CHAIN) return false;
    if (trusted.some(({ der }) => der.equals(one.der))) return true;
    for (const issuer of left) {
      if (!issuer.subject.equals(one.issuer) || !mayIssue(issuer, below)) continue;
      const { algorithm, bytes, signature } = one.signed;
      if (!signedBy(issuer.publicKey, algorithm, null, bytes, signature)) continue;
      left.delete(issuer);
      if (leads(issuer, below + 1)) return true;
    }
    return false;
  };
  return leads(signer, 0);
}

const PEM = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g;
const MOST_CERTIFICATES = 64;

/** Every certificate of a PEM text. Throws `timestamp_malformed`; also when there is none, or more than 64. */
export function readPem(text: string): readonly Certificate[] {
  const certificates = [...text.matchAll(PEM)].map(([, body = ""]) => {
    const der = fromBase64(body.replace(/\s/g, ""));
    return readCertificate(
      DerReader.only(der ?? malformed("a certificate that is not base64"), TAG.sequence),
    );
  });
  const blocks = text.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (certificates.length === 0 || certificates.length > MOST_CERTIFICATES || certificates.length !== blocks)
    malformed(`not between 1 and ${MOST_CERTIFICATES} certificates in pem`);
  return certificates;
}
