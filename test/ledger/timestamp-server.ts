/**
 * A time-stamp authority of the tests' own: certificates made by `openssl`, stamps by `openssl ts -reply`, behind HTTP on
 * loopback. What an honest authority would never sign, `openssl cms` signs for it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { oid, sequence, tagged } from "../certificates.ts";

export const POLICY = "1.2.3.4.1";
export const OTHER_POLICY = "1.2.3.4.5.6";

export type KeyType = "rsa" | "P-256" | "P-384";

const KEY: Readonly<Record<KeyType, readonly string[]>> = {
  rsa: ["-newkey", "rsa:2048"],
  "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  "P-384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
};

/** Extensions of a signer's certificate as RFC 3161 §2.3 wants it. */
const STAMPS = "keyUsage = critical, digitalSignature\nextendedKeyUsage = critical, timeStamping";

export interface AuthoritySetup {
  readonly key?: KeyType;
  /** Extensions of the signer's certificate, as `openssl x509 -extfile` reads them. */
  readonly signer?: string;
  /** Puts a second authority between, with these extensions; it travels in the token. */
  readonly between?: string;
  /** Extensions of the root; those of a certificate authority by default. */
  readonly root?: string;
  readonly commonName?: string;
  /** Hash of the ESSCertID; SHA-1 makes it the older attribute. */
  readonly bind?: "sha1" | "sha256";
  readonly digest?: "sha256" | "sha384" | "sha512";
}

export interface Forgery {
  readonly text: string;
  readonly time?: Date;
  readonly nonce?: bigint | null;
  readonly policy?: string;
  /** Put behind everything in the TSTInfo. */
  readonly more?: Uint8Array;
  /** Further options of `openssl cms -sign`. */
  readonly options?: readonly string[];
  readonly contentType?: string;
  /** Without the attribute that binds the certificate. */
  readonly unbound?: boolean;
}

function openssl(dir: string, words: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...words], { cwd: dir, stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`openssl ${words.join(" ")}: ${stderr.toString()}`);
}

/** Root, perhaps an authority between, and the signer, with their keys, in a folder of their own. */
export class TestAuthority {
  readonly dir = mkdtempSync(join(tmpdir(), "latchgate-tsa-"));
  readonly name: string;
  private readonly setup: AuthoritySetup;

  constructor(setup: AuthoritySetup = {}) {
    this.setup = setup;
    this.name = setup.commonName ?? "Test Stamper";
    const root =
      setup.root ?? "basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign";
    this.issue("root", "Test Stamping Root", root, null);
    if (setup.between !== undefined) this.issue("between", "Test Stamping Issuer", setup.between, "root");
    const issuer = setup.between === undefined ? "root" : "between";
    this.issue("signer", this.name, setup.signer ?? STAMPS, issuer);
    writeFileSync(join(this.dir, "chain.pem"), setup.between === undefined ? "" : this.read("between.pem"));
    writeFileSync(join(this.dir, "serial"), "01\n");
    writeFileSync(
      join(this.dir, "tsa.cnf"),
      `[tsa]\ndefault_tsa = one\n[one]\nserial = serial\ncrypto_device = builtin\nsigner_digest = ${setup.digest ?? "sha256"}
default_policy = ${POLICY}\nother_policies = ${OTHER_POLICY}\ndigests = sha256\naccuracy = secs:1\nordering = yes
tsa_name = yes\ness_cert_id_chain = no\ness_cert_id_alg = ${setup.bind ?? "sha256"}\n`,
    );
  }

  private issue(file: string, commonName: string, extensions: string, issuer: string | null): void {
    const key = [...KEY[this.setup.key ?? "P-256"], "-nodes", "-keyout", `${file}.key`];
    openssl(this.dir, ["req", "-new", ...key, "-subj", `/O=Test/CN=${commonName}`, "-out", `${file}.csr`]);
    writeFileSync(join(this.dir, `${file}.ext`), extensions);
    const by =
      issuer === null
        ? ["-signkey", `${file}.key`]
        : ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-CAcreateserial"];
    const to = ["-days", "365", "-sha256", "-extfile", `${file}.ext`, "-out", `${file}.pem`];
    openssl(this.dir, ["x509", "-req", "-in", `${file}.csr`, ...by, ...to]);
  }

  private read(file: string): string {
    return readFileSync(join(this.dir, file), "utf8");
  }

  /** PEM of the root. */
  get root(): string {
    return this.read("root.pem");
  }

  /** PEM of the signer's certificate. */
  get signer(): string {
    return this.read("signer.pem");
  }

  /** Answers a TimeStampReq as an honest authority does. */
  reply(query: Uint8Array): Buffer {
    writeFileSync(join(this.dir, "query.tsq"), query);
    const signer = ["-signer", "signer.pem", "-inkey", "signer.key", "-chain", "chain.pem"];
    const chain = this.setup.between === undefined ? signer.slice(0, -2) : signer;
    openssl(this.dir, [
      "ts",
      "-reply",
      "-config",
      "tsa.cnf",
      "-queryfile",
      "query.tsq",
      ...chain,
      "-out",
      "reply",
    ]);
    return readFileSync(join(this.dir, "reply"));
  }

  /** A token that says whatever it is told, signed by the signer's key. */
  forge({ text, time = new Date(), nonce = null, policy = POLICY, ...rest }: Forgery): Buffer {
    const imprint = new Bun.CryptoHasher("sha256").update(text).digest();
    const info = sequence(
      integer(1n),
      oid(policy),
      sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), tagged(0x05)), tagged(0x04, imprint)),
      integer(7n),
      tagged(0x18, Buffer.from(`${time.toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`)),
      nonce === null ? Buffer.alloc(0) : integer(nonce),
      rest.more ?? Buffer.alloc(0),
    );
    writeFileSync(join(this.dir, "info"), info);
    const type = rest.contentType ?? "1.2.840.113549.1.9.16.1.4";
    const form = ["-binary", "-nodetach", "-nosmimecap", "-md", "sha256", "-outform", "DER"];
    const as = ["-econtent_type", type, ...form, ...(rest.unbound === true ? [] : ["-cades"])];
    const by = ["-signer", "signer.pem", "-inkey", "signer.key", "-in", "info", "-out", "token"];
    openssl(this.dir, ["cms", "-sign", ...as, ...by, ...(rest.options ?? [])]);
    return readFileSync(join(this.dir, "token"));
  }

  /** What `openssl ts -verify` says of a token over a text, with the root alone to go by. */
  verifies(token: Uint8Array, text: string): boolean {
    writeFileSync(join(this.dir, "token"), token);
    writeFileSync(join(this.dir, "text"), text);
    const { exitCode } = Bun.spawnSync(
      ["openssl", "ts", "-verify", "-data", "text", "-in", "token", "-token_in", "-CAfile", "root.pem"],
      { cwd: this.dir, stdin: "ignore" },
    );
    return exitCode === 0;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return tagged(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

/** A TimeStampResp that grants a token. */
export function granting(token: Uint8Array): Buffer {
  return sequence(sequence(integer(0n)), token);
}

/** A TimeStampResp with another status, and no token. */
export function refusing(status: number): Buffer {
  return sequence(sequence(integer(BigInt(status))));
}

/** What of a query it goes by: the nonce, since the text is known to whoever tests. */
export function nonceOf(query: Uint8Array): bigint {
  // The nonce stands before `certReq TRUE`, which ends the query; it has at most 9 octets.
  const hex = Buffer.from(query).toString("hex");
  for (let octets = 1; octets <= 9; octets++) {
    const nonce = hex.slice(-6 - octets * 2, -6);
    if (hex.endsWith("0101ff") && hex.slice(-10 - octets * 2, -6 - octets * 2) === `020${octets}`)
      return BigInt(`0x${nonce}`);
  }
  throw new Error("a query without a nonce");
}

/** What the server answers instead of an honest reply; null to be honest. */
export type Misanswer = (query: Buffer, honest: () => Buffer) => Response | Buffer | Promise<Response>;

export interface TimestampServer {
  readonly url: string;
  /** Queries in their order. */
  readonly seen: readonly Buffer[];
  /** Resolves when there have been so many queries. */
  asked(count: number): Promise<void>;
  /** From now on. */
  misbehave(how: Misanswer | null): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const REPLY = { headers: { "content-type": "application/timestamp-reply" } } as const;

export function startTimestampServer(
  authority: TestAuthority,
  tls?: { readonly cert: string; readonly key: string },
): TimestampServer {
  const seen: Buffer[] = [];
  let waiting: { readonly count: number; readonly met: () => void }[] = [];
  let misanswer: Misanswer | null = null;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls === undefined ? {} : { tls }),
    fetch: async (request) => {
      if (request.method !== "POST" || request.headers.get("content-type") !== "application/timestamp-query")
        return new Response("", { status: 405 });
      const query = Buffer.from(await request.arrayBuffer());
      const honest = () => authority.reply(query);
      const answer = misanswer === null ? honest() : await misanswer(query, honest);
      seen.push(query);
      for (const { met } of waiting.filter(({ count }) => seen.length >= count)) met();
      waiting = waiting.filter(({ count }) => seen.length < count);
      return answer instanceof Response ? answer : new Response(new Uint8Array(answer), REPLY);
    },
  });
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${server.port}/stamp`,
    seen,
    asked: (count) =>
      seen.length >= count
        ? Promise.resolve()
        : new Promise((met) => {
            waiting.push({ count, met });
          }),
    misbehave: (how) => {
      misanswer = how;
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
