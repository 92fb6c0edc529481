import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

export interface Endpoint {
  readonly url: string;
  /** PEM with the authorities for its TLS certificate; the usual ones when null. */
  readonly ca: string | null;
}

export interface PostOptions {
  readonly type: string;
  readonly body: string | Uint8Array;
  readonly timeoutMs: number;
  /** Bytes. */
  readonly longestAnswer: number;
}

export interface WireAnswer {
  readonly status: number;
  /** Media type in lower case, without its parameters; empty when the answer names none. */
  readonly type: string;
  readonly body: Buffer;
}

/** One POST on a connection of its own; follows no redirect, uses no proxy. Rejects when no whole answer came in time. */
export function post({ url, ca }: Endpoint, wanted: PostOptions): Promise<WireAnswer> {
  const options = {
    method: "POST",
    agent: false,
    signal: AbortSignal.timeout(wanted.timeoutMs),
    headers: { "content-type": wanted.type, "content-length": Buffer.byteLength(wanted.body) },
  } as const;
  return new Promise((resolve, reject) => {
    const outgoing = url.startsWith("https:")
      ? requestHttps(url, { ...options, ...(ca === null ? {} : { ca }) })
      : requestHttp(url, options);
    outgoing.on("error", reject);
    outgoing.on("response", (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size <= wanted.longestAnswer) chunks.push(chunk);
        else {
          outgoing.destroy();
          reject(new Error(`its answer is longer than ${wanted.longestAnswer} bytes`));
        }
      });
      answer.on("error", reject);
      answer.on("close", () => {
        if (!answer.complete) reject(new Error("its answer was cut off"));
        resolve({
          status: answer.statusCode ?? 0,
          type: (answer.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "",
          body: Buffer.concat(chunks),
        });
      });
    });
    outgoing.end(wanted.body);
  });
}
