/**
 * A witness, written from https://c2sp.org/tlog-witness, tlog-cosignature and signed-note alone: it shares no code with
 * the client, so that both can't agree on the same mistake. Loopback only; it keeps its state in memory.
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";

const sha256 = (...parts: (string | Uint8Array)[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** An Ed25519 key that signs as a witness: key type 0x04. */
export class WitnessIdentity {
  readonly name: string;
  readonly vkey: string;
  private readonly privateKey: KeyObject;
  private readonly id: Buffer;

  constructor(name: string) {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const typed = Buffer.concat([
      Buffer.of(4),
      Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url"),
    ]);
    this.name = name;
    this.privateKey = privateKey;
    this.id = sha256(name, "\n", typed).subarray(0, 4);
    this.vkey = `${name}+${this.id.toString("hex")}+${typed.toString("base64")}`;
  }

  /** A signature line over the note text, with its line end. */
  cosign(text: string, time = Math.floor(Date.now() / 1000)): string {
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(BigInt(time));
    const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), this.privateKey);
    return `— ${this.name} ${Buffer.concat([this.id, stamp, signature]).toString("base64")}\n`;
  }
}

export interface Seen {
  readonly old: number;
  readonly size: number;
  readonly status: number;
}

/** What a dishonest witness answers in the place of an honest one; undefined leaves it honest. */
export type Misbehaviour = (text: string, honest: Response) => Response | Promise<Response> | undefined;

export interface WitnessServer {
  readonly identity: WitnessIdentity;
  readonly url: string;
  /** Requests in their order, with what was answered. */
  readonly seen: readonly Seen[];
  /** Resolves when it has answered so many requests. */
  asked(count: number): Promise<void>;
  /** What it has cosigned last. */
  size(): number;
  /** From now on. */
  misbehave(how: Misbehaviour | null): void;
  /** Another state than its own, as a witness that followed a fork would have. */
  remember(origin: string, size: number, root: Uint8Array): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WitnessSetup {
  readonly name?: string;
  /** Raw key of a log by its origin; null for a log that it does not know. */
  readonly logKey: (origin: string) => Uint8Array | null;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export function startWitness(setup: WitnessSetup): WitnessServer {
  const identity = new WitnessIdentity(setup.name ?? "witness.example/w1");
  const latest = new Map<string, { readonly size: number; readonly root: Buffer }>();
  const seen: Seen[] = [];
  let misbehaviour: Misbehaviour | null = null;
  let waiting: { readonly count: number; readonly met: () => void }[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(setup.tls === undefined ? {} : { tls: setup.tls }),
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method !== "POST" || pathname !== "/w/add-checkpoint")
        return new Response("", { status: 405 });
      const body = await request.text();
      const { response, text, old, size } = judge(body, setup, identity, latest);
      const answer = (await misbehaviour?.(text, response)) ?? response;
      seen.push({ old, size, status: answer.status });
      for (const { met } of waiting.filter(({ count }) => seen.length >= count)) met();
      waiting = waiting.filter(({ count }) => seen.length < count);
      return answer;
    },
  });
  return {
    identity,
    url: `${setup.tls === undefined ? "http" : "https"}://127.0.0.1:${server.port}/w`,
    seen,
    asked: (count) =>
      seen.length >= count
        ? Promise.resolve()
        : new Promise((met) => {
            waiting.push({ count, met });
          }),
    size: () => Math.max(0, ...[...latest.values()].map(({ size }) => size)),
    misbehave: (how) => {
      misbehaviour = how;
    },
    remember: (origin, size, root) => latest.set(origin, { size, root: Buffer.from(root) }),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

interface Judged {
  readonly response: Response;
  readonly text: string;
  readonly old: number;
  readonly size: number;
}

function judge(
  body: string,
  setup: WitnessSetup,
  identity: WitnessIdentity,
  latest: Map<string, { readonly size: number; readonly root: Buffer }>,
): Judged {
  const blank = body.indexOf("\n\n");
  const [first = "", ...proofLines] = body.slice(0, blank).split("\n");
  const note = body.slice(blank + 2);
  const end = note.indexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [origin = "", sizeLine = "", rootLine = ""] = text.split("\n");
  const old = /^old (0|[1-9][0-9]*)$/.test(first) ? Number(first.slice(4)) : -1;
  const size = /^(0|[1-9][0-9]*)$/.test(sizeLine) ? Number(sizeLine) : -1;
  const root = Buffer.from(rootLine, "base64");
  const plain = (status: number) => ({ response: new Response("", { status }), text, old, size });
  if (blank < 0 || end < 0 || old < 0 || size < 0 || proofLines.length > 63) return plain(400);
  const key = setup.logKey(origin);
  if (key === null) return plain(404);
  const id = sha256(origin, "\n", Buffer.of(1), key).subarray(0, 4);
  const publicKey = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(key).toString("base64url") },
    format: "jwk",
  });
  const signed = note
    .slice(end + 2)
    .split("\n")
    .some((line) => {
      const [dash, name, base64 = ""] = line.split(" ");
      const blob = Buffer.from(base64, "base64");
      return (
        dash === "—" &&
        name === origin &&
        blob.subarray(0, 4).equals(id) &&
        verify(null, Buffer.from(text), publicKey, blob.subarray(4))
      );
    });
  if (!signed) return plain(403);
  if (old > size) return plain(400);
  const known = latest.get(origin) ?? { size: 0, root: sha256() };
  const conflict = () => ({
    response: new Response(`${known.size}\n`, {
      status: 409,
      headers: { "content-type": "text/x.tlog.size" },
    }),
    text,
    old,
    size,
  });
  if (old !== known.size) return conflict();
  if (old === size && !known.root.equals(root)) return plain(409);
  const proof = proofLines.map((line) => Buffer.from(line, "base64"));
  if (!extendsTree(old, size, known.root, root, proof)) return plain(422);
  latest.set(origin, { size, root });
  return { response: new Response(identity.cosign(text), { status: 200 }), text, old, size };
}

/** RFC 6962 §2.1.2 read backwards: both roots from the proof, in the order in which its definition lists the hashes. */
function extendsTree(
  m: number,
  n: number,
  oldRoot: Buffer,
  newRoot: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (m === 0 || m === n) return proof.length === 0 && (m === 0 || oldRoot.equals(newRoot));
  const rest = [...proof];
  const next = (): Buffer => rest.shift() ?? Buffer.alloc(0);
  const node = (left: Buffer, right: Buffer) => sha256(Buffer.of(1), left, right);
  const walk = (older: number, newer: number, whole: boolean): readonly [Buffer, Buffer] => {
    if (older === newer) {
      const hash = whole ? oldRoot : next();
      return [hash, hash];
    }
    let k = 1;
    while (k * 2 < newer) k *= 2;
    if (older <= k) {
      const [before, left] = walk(older, k, whole);
      return [before, node(left, next())];
    }
    const [before, right] = walk(older - k, newer - k, false);
    const left = next();
    return [node(left, before), node(left, right)];
  };
  const [before, after] = walk(m, n, true);
  return rest.length === 0 && before.equals(oldRoot) && after.equals(newRoot);
}
