/** Each check of a time stamp alone: a token put together here, and signed by the authority's own key. */
import { afterAll, expect, test } from "bun:test";
import { createHash, createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readPem } from "../../src/ledger/anchor/timestamp/certificate.ts";
import { readToken } from "../../src/ledger/anchor/timestamp/token.ts";
import { oid, sequence, tagged } from "../certificates.ts";
import { POLICY, TestAuthority } from "./timestamp-server.ts";

const authority = new TestAuthority();
afterAll(() => authority[Symbol.dispose]());
const key = createPrivateKey(readFileSync(join(authority.dir, "signer.key")));
const certificate = (pem: string) => readPem(pem)[0] ?? expect.unreachable("openssl made no certificate");
const [signer, root] = [certificate(authority.signer), certificate(authority.root)];

const ID = {
  signedData: "1.2.840.113549.1.7.2",
  stamp: "1.2.840.113549.1.9.16.1.4",
  contentType: "1.2.840.113549.1.9.3",
  digest: "1.2.840.113549.1.9.4",
  certificate: "1.2.840.113549.1.9.16.2.47",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  ecdsa: "1.2.840.10045.4.3.2",
} as const;
const [SET, OCTETS, INTEGER] = [0x31, 0x04, 0x02];
const hash = (bytes: Uint8Array, name = "sha256") => createHash(name).update(bytes).digest();
const number = (value: number) => tagged(INTEGER, Buffer.of(value));
const set = (...parts: readonly Uint8Array[]) => tagged(SET, Buffer.concat(parts));
const attribute = (id: string, ...values: readonly Uint8Array[]) => sequence(oid(id), set(...values));
const serialOf = (content: Uint8Array) => tagged(INTEGER, content);
const directory = (name: Uint8Array) => tagged(0xa4, name);

interface Made {
  readonly version?: number;
  readonly imprint?: Uint8Array;
  /** Between time and nonce. */
  readonly ordering?: Uint8Array;
  readonly contentType?: Uint8Array;
  readonly digest?: (info: Uint8Array) => Uint8Array;
  /** Of the ESSCertIDv2. */
  readonly bound?: Uint8Array;
  readonly issuerSerial?: Uint8Array;
  readonly more?: readonly Uint8Array[];
  readonly signerVersion?: number;
  readonly sid?: Uint8Array;
  readonly certificates?: readonly Uint8Array[];
}

const SOUND = sequence(sequence(directory(signer.issuer)), serialOf(signer.serial));
function token(made: Made = {}): Buffer {
  const info = sequence(
    number(made.version ?? 1),
    oid(POLICY),
    made.imprint ?? sequence(sequence(oid(ID.sha256)), tagged(OCTETS, hash(Buffer.from("text")))),
    number(7),
    tagged(0x18, Buffer.from("20260101000000Z")),
    made.ordering ?? Buffer.alloc(0),
    number(9),
  );
  const essCertId = sequence(tagged(OCTETS, made.bound ?? hash(signer.der)), made.issuerSerial ?? SOUND);
  const attributes = Buffer.concat([
    attribute(ID.contentType, made.contentType ?? oid(ID.stamp)),
    attribute(ID.digest, made.digest?.(info) ?? tagged(OCTETS, hash(info))),
    attribute(ID.certificate, sequence(sequence(essCertId))),
    ...(made.more ?? []),
  ]);
  const signerInfo = sequence(
    number(made.signerVersion ?? 1),
    made.sid ?? sequence(signer.issuer, serialOf(signer.serial)),
    sequence(oid(ID.sha256)),
    tagged(0xa0, attributes),
    sequence(oid(ID.ecdsa)),
    tagged(OCTETS, sign("sha256", tagged(SET, attributes), key)),
  );
  const signedData = sequence(
    number(3),
    set(sequence(oid(ID.sha256))),
    sequence(oid(ID.stamp), tagged(0xa0, tagged(OCTETS, info))),
    tagged(0xa0, Buffer.concat([...(made.certificates ?? [signer.der])])),
    set(signerInfo),
  );
  return sequence(oid(ID.signedData), tagged(0xa0, signedData));
}

test("put together as it should be, it is read", () => {
  expect(readToken(token())).toMatchObject({ policy: POLICY, nonce: 9n, imprint: hash(Buffer.from("text")) });
  const named = { signerVersion: 3, sid: tagged(0x80, signer.keyIdentifier ?? Buffer.of()) };
  expect(readToken(token(named)).signer.der).toEqual(signer.der);
});

const OTHER = Buffer.of(1, 2, 3);
const BROKEN: readonly (readonly [what: string, made: Made, detail: string])[] = [
  ["a stamp of another version", { version: 2 }, "another version than 1"],
  [
    "an imprint by another hash",
    { imprint: sequence(sequence(oid(ID.sha384)), tagged(OCTETS, hash(Buffer.from("text"), "sha384"))) },
    "an imprint by another hash",
  ],
  [
    "a default that is written out",
    { ordering: tagged(0x01, Buffer.of(0)) },
    "a default that is written out",
  ],
  ["a boolean that is neither", { ordering: tagged(0x01, Buffer.of(1)) }, "not a boolean"],
  ["signed for another type of content", { contentType: oid(ID.signedData) }, "another content type"],
  ["signed for another content", { digest: () => tagged(OCTETS, hash(OTHER)) }, "signed for another content"],
  [
    "its digest as something else than octets",
    { digest: (info) => tagged(0x0c, hash(info)) },
    "a signed attribute of another type",
  ],
  ["an attribute that comes twice", { more: [attribute(ID.contentType, oid(ID.stamp))] }, "comes twice"],
  ["an attribute of two values", { more: [attribute("1.2.3", number(1), number(2))] }, "without one value"],
  ["bound to another certificate", { bound: hash(root.der) }, "signed for another certificate"],
  [
    "bound to another issuer",
    { issuerSerial: sequence(sequence(directory(signer.subject)), serialOf(signer.serial)) },
    "signed for another certificate",
  ],
  [
    "bound to another serial number",
    { issuerSerial: sequence(sequence(directory(signer.issuer)), serialOf(OTHER)) },
    "signed for another certificate",
  ],
  [
    "bound to two issuers",
    {
      issuerSerial: sequence(
        sequence(directory(signer.issuer), directory(signer.issuer)),
        serialOf(signer.serial),
      ),
    },
    "signed for another certificate",
  ],
  [
    "by a signer of another serial number",
    { sid: sequence(signer.issuer, serialOf(OTHER)) },
    "the signer's certificate is not in the token",
  ],
  [
    "by a signer of another issuer",
    { sid: sequence(signer.subject, serialOf(signer.serial)) },
    "the signer's certificate is not in the token",
  ],
  [
    "by a signer of another key identifier",
    { signerVersion: 3, sid: tagged(0x80, OTHER) },
    "the signer's certificate is not in the token",
  ],
  [
    "a signer of a version that is not its form",
    { signerVersion: 3 },
    "the signer's certificate is not in the token",
  ],
  [
    "more certificates than a chain has",
    { certificates: Array<Buffer>(9).fill(signer.der) },
    "more than 8 certificates",
  ],
];
test.each(BROKEN)("refused, though its signature holds: %s", (_, made, detail) => {
  expect(() => readToken(token(made))).toThrow(detail);
});
