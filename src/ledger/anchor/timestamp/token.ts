import { sha256 } from "../../../core/bytes.ts";
import { digest, type HashName, hashOf, identifier, optionalHash, signedBy } from "./algorithm.ts";
import { type Certificate, mayStamp, readCertificate } from "./certificate.ts";
import {
  booleanOf,
  context,
  DerReader,
  type Element,
  integerOf,
  malformed,
  oidOf,
  sequence,
  smallInteger,
  TAG,
  timeOf,
} from "./der.ts";

/** More than any authority's token has with its certificates; each goes into the log. */
export const LONGEST_TOKEN = 32_768;
const MOST_CERTIFICATES = 8;

/** RFC 5652 §5.1, RFC 3161 §2.4.2, RFC 5652 §11, RFC 2634 §5.4, RFC 5816 §2.2. */
const OID = {
  signedData: "1.2.840.113549.1.7.2",
  tstInfo: "1.2.840.113549.1.9.16.1.4",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingCertificate: "1.2.840.113549.1.9.16.2.12",
  signingCertificateV2: "1.2.840.113549.1.9.16.2.47",
} as const;

/** A token whose signer, whoever that is, signed it for exactly this imprint. */
export interface TimestampToken {
  /** Milliseconds since the epoch, rounded down. */
  readonly time: number;
  /** Dotted. */
  readonly policy: string;
  /** SHA-256 of what was stamped. */
  readonly imprint: Buffer;
  readonly nonce: bigint | null;
  readonly signer: Certificate;
  /** The other certificates that it brings. */
  readonly others: readonly Certificate[];
}

/**
 * Reads a TimeStampToken (RFC 3161 §2.4.2) and checks all that can be checked of it alone: DER and form, one signer whose
 * certificate is there, is bound by the signed attributes (RFC 5816) and may stamp, and its signature over them.
 * Says nothing about whose certificate that is. Throws `timestamp_malformed`. An attacker controls the token.
 */
export function readToken(token: Buffer): TimestampToken {
  if (token.length > LONGEST_TOKEN) malformed(`a token of more than ${LONGEST_TOKEN} bytes`);
  const outer = sequence(DerReader.only(token, TAG.sequence));
  if (oidOf(outer.next(TAG.oid)) !== OID.signedData) malformed("not signed data");
  const signedData = sequence(DerReader.only(outer.next(context(0)).content, TAG.sequence));
  outer.end();
  // RFC 5652 §5.1: 3, since the content is no plain data.
  if (smallInteger(signedData.next(TAG.integer)) !== 3) malformed("signed data of another version than 3");
  const digests = new DerReader(signedData.next(TAG.set).content).rest().map(identifier);
  const content = contentOf(signedData.next(TAG.sequence));
  const certificates = certificatesOf(signedData.optional(context(0)));
  signedData.optional(context(1)); // revocation lists: nobody goes by them
  const signers = new DerReader(signedData.next(TAG.set).content);
  signedData.end();
  const signerInfo = signers.next(TAG.sequence);
  signers.end(); // RFC 3161 §2.4.2: the authority's signature and no other
  const signer = checkSigner(signerInfo, { content, digests, certificates });
  return { ...readInfo(content), signer, others: certificates.filter((one) => one !== signer) };
}

/** The octets of the TSTInfo. */
function contentOf(element: Element): Buffer {
  const reader = sequence(element);
  if (oidOf(reader.next(TAG.oid)) !== OID.tstInfo) malformed("not a time stamp");
  const octets = DerReader.only(reader.next(context(0)).content, TAG.octetString).content;
  reader.end();
  return octets;
}

/** X.509 certificates alone; attribute certificates and what else a CertificateSet may hold are of no use here. */
function certificatesOf(field: Element | null): Certificate[] {
  const elements = field === null ? [] : new DerReader(field.content).rest();
  if (elements.length > MOST_CERTIFICATES) malformed(`more than ${MOST_CERTIFICATES} certificates`);
  return elements.filter(({ tag }) => tag === TAG.sequence).map(readCertificate);
}

interface Signed {
  readonly content: Buffer;
  /** Hashes that the signed data announces. */
  readonly digests: readonly string[];
  readonly certificates: readonly Certificate[];
}

/** Checks the SignerInfo (RFC 5652 §5.3) and gives the certificate whose key signed. */
function checkSigner(element: Element, { content, digests, certificates }: Signed): Certificate {
  const reader = sequence(element);
  const version = smallInteger(reader.next(TAG.integer));
  const named = signerOf(version, reader.any(), certificates);
  const digestAlgorithm = reader.next(TAG.sequence);
  if (!digests.includes(identifier(digestAlgorithm))) malformed("signed by a hash that is not announced");
  const hash = hashOf(digestAlgorithm);
  const signedAttributes = reader.next(context(0));
  const algorithm = reader.next(TAG.sequence);
  const signature = reader.next(TAG.octetString).content;
  reader.optional(context(1)); // unsigned attributes: nobody vouches for them
  reader.end();
  const attributes = attributesOf(signedAttributes);
  const value = (id: string) => attributes.get(id) ?? malformed(`the signed attribute ${id} is missing`);
  if (oidOf(only(value(OID.contentType), TAG.oid)) !== OID.tstInfo)
    malformed("signed for another content type");
  if (!only(value(OID.messageDigest), TAG.octetString).content.equals(digest(hash, content)))
    malformed("signed for another content");
  if (!bindsCertificate(attributes, named)) malformed("signed for another certificate");
  if (!mayStamp(named)) malformed("the signer's certificate is not for time stamps alone");
  // RFC 5652 §5.4: what is signed is the attributes under the tag of a set, not under the one they travel with.
  const signed = Buffer.concat([Buffer.of(TAG.set), signedAttributes.whole.subarray(1)]);
  if (!signedBy(named.publicKey, algorithm, hash, signed, signature)) malformed("the signature is not valid");
  return named;
}

/** RFC 5652 §5.3: version 1 names issuer and serial number, version 3 the key identifier. */
function signerOf(version: number, sid: Element, certificates: readonly Certificate[]): Certificate {
  const matches = (certificate: Certificate): boolean => {
    if (version === 3 && sid.tag === context(0, false))
      return certificate.keyIdentifier?.equals(sid.content) === true;
    return version === 1 && isIssuerAndSerial(sid, certificate);
  };
  return certificates.find(matches) ?? malformed("the signer's certificate is not in the token");
}

function isIssuerAndSerial(sid: Element, certificate: Certificate): boolean {
  const reader = sequence(sid);
  const issuer = reader.next(TAG.sequence).whole;
  const serial = reader.next(TAG.integer).content;
  reader.end();
  return issuer.equals(certificate.issuer) && serial.equals(certificate.serial);
}

/** Signed attributes by their type; each has one value, and comes once (RFC 5652 §11). */
function attributesOf(field: Element): ReadonlyMap<string, Element> {
  const attributes = new Map<string, Element>();
  for (const element of new DerReader(field.content).rest()) {
    const reader = sequence(element);
    const id = oidOf(reader.next(TAG.oid));
    const values = new DerReader(reader.next(TAG.set).content).rest();
    reader.end();
    const [value] = values;
    if (attributes.has(id) || value === undefined || values.length !== 1)
      malformed("a signed attribute that comes twice, or without one value");
    attributes.set(id, value);
  }
  return attributes;
}

function only(element: Element, tag: number): Element {
  if (element.tag !== tag) malformed("a signed attribute of another type");
  return element;
}

/**
 * RFC 5035 §3 and RFC 2634 §5.4: the first ESSCertID is the signer's. The older form names it by SHA-1, which binds still:
 * another certificate of the same hash would take a second preimage. It is looked at only where the newer is missing.
 */
function bindsCertificate(attributes: ReadonlyMap<string, Element>, signer: Certificate): boolean {
  const second = attributes.get(OID.signingCertificateV2);
  const attribute = second ?? attributes.get(OID.signingCertificate);
  if (attribute === undefined) return false;
  const id = sequence(sequence(sequence(attribute).next(TAG.sequence)).next(TAG.sequence));
  const hash: HashName = second === undefined ? "sha1" : optionalHash(id, "sha256");
  if (!id.next(TAG.octetString).content.equals(digest(hash, signer.der))) return false;
  const issuerSerial = id.optional(TAG.sequence);
  id.end();
  if (issuerSerial === null) return true;
  const reader = sequence(issuerSerial);
  const names = sequence(reader.next(TAG.sequence)).rest();
  const serial = reader.next(TAG.integer).content;
  reader.end();
  // One directoryName, [4] EXPLICIT (RFC 5280 §4.2.1.6).
  const [name] = names;
  return (
    names.length === 1 &&
    name?.tag === context(4) &&
    name.content.equals(signer.issuer) &&
    serial.equals(signer.serial)
  );
}

/** TSTInfo, RFC 3161 §2.4.2. */
function readInfo(octets: Buffer): Pick<TimestampToken, "time" | "policy" | "imprint" | "nonce"> {
  const reader = sequence(DerReader.only(octets, TAG.sequence));
  if (smallInteger(reader.next(TAG.integer)) !== 1) malformed("a time stamp of another version than 1");
  const policy = oidOf(reader.next(TAG.oid));
  const imprint = sequence(reader.next(TAG.sequence));
  if (hashOf(imprint.next(TAG.sequence)) !== "sha256") malformed("an imprint by another hash than sha-256");
  const hashed = imprint.next(TAG.octetString).content;
  imprint.end();
  integerOf(reader.next(TAG.integer)); // its serial number
  const time = timeOf(reader.next(TAG.generalizedTime));
  reader.optional(TAG.sequence); // accuracy
  const ordering = reader.optional(TAG.boolean);
  // DER leaves a default out (X.690 §11.5).
  if (ordering !== null && !booleanOf(ordering)) malformed("a default that is written out");
  const nonce = reader.optional(TAG.integer);
  reader.optional(context(0)); // the authority's name: a hint, which its certificate makes needless
  if (reader.optional(context(1)) !== null)
    malformed("a time stamp with extensions, which nobody here knows");
  reader.end();
  return { time, policy, imprint: hashed, nonce: nonce === null ? null : integerOf(nonce) };
}

/** Whether it stamps this text. */
export function stamps({ imprint }: TimestampToken, text: string): boolean {
  return imprint.equals(sha256(text));
}
