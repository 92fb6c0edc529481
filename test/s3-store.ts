import { createHash, createHmac } from "node:crypto";
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { SignatureV4 } from "@smithy/signature-v4";
import type { Identity } from "./certificates.ts";

export interface StoredObject {
  readonly content: Buffer;
  readonly etag: string;
  readonly contentType: string | null;
}

export interface S3Seen {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface S3Store {
  readonly port: number;
  /** By `bucket/key`. */
  readonly objects: Map<string, StoredObject>;
  readonly seen: S3Seen[];
  close(): Promise<void>;
}

export interface S3StoreSetup {
  /** Without it the store speaks plain http. */
  readonly identity?: Identity;
  readonly keyId: string;
  readonly secret: string;
  readonly region: string;
  /** The host before which a bucket may stand. */
  readonly host: string;
  /** Answers in place of the store when it returns true. */
  readonly instead?: (seen: S3Seen, response: ServerResponse, socket: Socket) => boolean;
}

/**
 * An object store on loopback with conditional writes, which lets nothing through that another implementation of
 * Signature Version 4 does not sign alike, or whose content is not the signed one.
 */
export async function startS3Store(setup: S3StoreSetup): Promise<S3Store> {
  const objects = new Map<string, StoredObject>();
  const seen: S3Seen[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    const one = {
      method: request.method ?? "",
      host: headers.host ?? "",
      path: request.url ?? "",
      headers,
      body: Buffer.concat(chunks),
    };
    seen.push(one);
    if (setup.instead?.(one, response, request.socket) === true) return;
    const fault = await signatureFault(one, setup);
    if (fault !== null) refuse(response, 403, fault, headers.authorization ?? "");
    else serve(one, response, setup.host, objects);
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
  const { identity } = setup;
  const server =
    identity === undefined
      ? createPlain(listener)
      : createServer({ cert: identity.cert, key: identity.key }, listener);
  const sockets = new Set<Socket>();
  server.on(identity === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    objects,
    seen,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(one: S3Seen, response: ServerResponse, host: string, objects: S3Store["objects"]): void {
  const bucket = one.host.split(":")[0] === host ? "" : `${one.host.slice(0, one.host.indexOf("."))}/`;
  const name = bucket + decodeURIComponent(one.path.slice(1));
  const there = objects.get(name);
  if (one.method === "PUT") {
    const { "if-none-match": noneMatch, "if-match": match } = one.headers;
    const missed =
      (noneMatch === "*" && there !== undefined) || (match !== undefined && match !== there?.etag);
    if (missed) {
      refuse(response, 412, "PreconditionFailed", "");
      return;
    }
    const etag = `"${createHash("md5").update(one.body).digest("hex")}"`;
    objects.set(name, { content: one.body, etag, contentType: one.headers["content-type"] ?? null });
    response.writeHead(200, { etag, "x-amz-version-id": `v${objects.size}`, "content-length": "0" }).end();
    return;
  }
  if (there === undefined) {
    refuse(response, 404, "NoSuchKey", "");
    return;
  }
  response
    .writeHead(200, {
      etag: there.etag,
      "content-length": String(there.content.length),
      "x-amz-checksum-sha256": createHash("sha256").update(there.content).digest("base64"),
      ...(there.contentType === null ? {} : { "content-type": there.contentType }),
    })
    .end(there.content);
}

function refuse(response: ServerResponse, status: number, code: string, echo: string): void {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${echo}</Message></Error>`;
  response.writeHead(status, { "content-type": "application/xml", "content-length": String(body.length) });
  response.end(body);
}

/** Null when the request is signed as the published signer signs it. */
async function signatureFault(one: S3Seen, setup: S3StoreSetup): Promise<string | null> {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/[^,]+, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$/.exec(
      one.headers.authorization ?? "",
    );
  if (parts === null) return "AuthorizationHeaderMalformed";
  const [, keyId, signed = ""] = parts;
  if (keyId !== setup.keyId) return "InvalidAccessKeyId";
  const hash = createHash("sha256").update(one.body).digest("hex");
  if (one.headers["x-amz-content-sha256"] !== hash) return "XAmzContentSHA256Mismatch";
  const names = signed.split(";");
  const date = one.headers["x-amz-date"] ?? "";
  const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!names.includes("host") || Number.isNaN(at)) return "AuthorizationHeaderMalformed";
  // What changes the meaning of a request must be signed.
  const meaning = ["content-type", "if-match", "if-none-match"];
  for (const name of Object.keys(one.headers))
    if ((name.startsWith("x-amz-") || meaning.includes(name)) && !names.includes(name)) return "AccessDenied";
  const signer = new SignatureV4({
    credentials: { accessKeyId: setup.keyId, secretAccessKey: setup.secret },
    region: setup.region,
    service: "s3",
    sha256: NodeSha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  const theirs = await signer.sign(
    {
      method: one.method,
      protocol: "https:",
      hostname: one.host,
      path: one.path,
      query: {},
      headers: Object.fromEntries(
        names.filter((name) => name !== "x-amz-date").map((name) => [name, one.headers[name] ?? ""]),
      ),
    },
    { signingDate: new Date(at), signableHeaders: new Set(names) },
  );
  return theirs.headers.authorization === one.headers.authorization ? null : "SignatureDoesNotMatch";
}

type Data = string | ArrayBuffer | ArrayBufferView;

/** Node's hashes behind the interface that the published signer asks for. */
export class NodeSha256 {
  private readonly hash;
  constructor(key?: Data) {
    this.hash = key === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(key));
  }
  update(data: Data) {
    this.hash.update(bytesOf(data));
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
  reset() {}
}

function bytesOf(data: Data): Buffer {
  if (typeof data === "string") return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}
