import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate authority made for one test run; its key never leaves the process. */
export interface Authority {
  readonly name: string;
  /** PEM, self-signed. */
  readonly certificate: string;
  readonly privateKey: KeyObject;
}

/** A leaf certificate with its key, both PEM, as `tls.createServer({ cert, key })` takes them. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** DNS names for the subject alternative name; `*.example.com` is allowed. */
  readonly names?: readonly string[];
  /** IP literals for the subject alternative name. */
  readonly addresses?: readonly string[];
  /** Subject common name; the first name or address by default. */
  readonly commonName?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const YEAR_MS = 365 * 24 * 3_600_000;

/** Makes a P-256 authority, valid from yesterday for ten years. */
export function makeAuthority(name: string): Authority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = certify({
    issuer: name,
    subject: name,
    publicKey,
    signer: privateKey,
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 10 * YEAR_MS),
    extensions: [
      extension("2.5.29.19", true, sequence(boolean(true))),
      extension("2.5.29.15", true, bitString(Buffer.from([0x06]), 1)), // keyCertSign, cRLSign
    ],
  });
  return { name, certificate, privateKey };
}

/** Issues a P-256 leaf for servers and clients, valid from yesterday for one year unless told otherwise. */
export function issue(authority: Authority, options: IssueOptions): Identity {
  const names = options.names ?? [];
  const addresses = options.addresses ?? [];
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const alternatives = [
    ...names.map((name) => tagged(0x82, Buffer.from(name, "ascii"))),
    ...addresses.map((address) => tagged(0x87, addressBytes(address))),
  ];
  const cert = certify({
    issuer: authority.name,
    subject: options.commonName ?? names[0] ?? addresses[0] ?? "leaf",
    publicKey,
    signer: authority.privateKey,
    notBefore: options.notBefore ?? new Date(Date.now() - 86_400_000),
    notAfter: options.notAfter ?? new Date(Date.now() + YEAR_MS),
    extensions: [
      extension("2.5.29.19", true, sequence()),
      extension("2.5.29.15", true, bitString(Buffer.from([0x80]), 7)), // digitalSignature
      extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2"))),
      ...(alternatives.length === 0 ? [] : [extension("2.5.29.17", false, sequence(...alternatives))]),
    ],
  });
  return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

interface Certificate {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280 §4.1, signed with ecdsa-with-SHA256. */
function certify(certificate: Certificate): string {
  const algorithm = sequence(oid("1.2.840.10045.4.3.2"));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // positive, and never shortened by a leading zero
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))), // v3
    tagged(0x02, serial),
    algorithm,
    distinguishedName(certificate.issuer),
    sequence(time(certificate.notBefore), time(certificate.notAfter)),
    distinguishedName(certificate.subject),
    certificate.publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...certificate.extensions)),
  );
  const signature = sign("sha256", body, certificate.signer);
  const base64 = sequence(body, algorithm, bitString(signature, 0)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
}

/** One element in DER: tag, shortest length, contents. */
export function tagged(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  const head = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from(head), body]);
}

/** A SEQUENCE of elements. */
export function sequence(...contents: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...contents);
}

function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.from([value ? 0xff : 0]));
}

function bitString(bytes: Uint8Array, unusedBits: number): Buffer {
  return tagged(0x03, Buffer.from([unusedBits]), bytes);
}

/** An OBJECT IDENTIFIER from its dotted text. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const septets = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) septets.unshift((high & 0x7f) | 0x80);
    bytes.push(...septets);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  const value = tagged(0x0c, Buffer.from(commonName, "utf8"));
  return sequence(tagged(0x31, sequence(oid("2.5.4.3"), value)));
}

/** GeneralizedTime from 2050 on, UTCTime before (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  return date.getUTCFullYear() >= 2050
    ? tagged(0x18, Buffer.from(digits, "ascii"))
    : tagged(0x17, Buffer.from(digits.slice(2), "ascii"));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), tagged(0x04, value));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
