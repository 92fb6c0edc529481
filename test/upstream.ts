import type { RequestListener } from "node:http";
import { issue, makeAuthority } from "./certificates.ts";
import { startOrigin } from "./host/origin.ts";

/** An https service on loopback that the gate may reach by `[[egress.local]]`, and counts what reached it. */
export interface Upstream {
  readonly port: number;
  /** `https://service.test:<port>/`. */
  readonly url: string;
  /** `METHOD /path` of every request whose head arrived. */
  readonly requests: readonly string[];
  /** Resolves when the nth request has arrived. */
  arrived(count: number): Promise<void>;
  /** To spread into `startGate`: its certificate authority, and the configuration that lets the gate reach it. */
  readonly setup: { readonly config: string; readonly files: Readonly<Record<string, string>> };
  [Symbol.asyncDispose](): Promise<void>;
}

const HOST = "service.test";

const answer: RequestListener = (_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end('{"answer":42}');
};

/** A listener that reads the request and never answers. */
export const silent: RequestListener = (request) => {
  request.resume();
};

export async function startUpstream(listener: RequestListener = answer): Promise<Upstream> {
  const authority = makeAuthority("upstream");
  const requests: string[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const origin = await startOrigin(issue(authority, { names: [HOST] }), (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    for (const { count, resolve } of waiting) if (requests.length >= count) resolve();
    listener(request, response);
  });
  const allow = (action: string, method: string) => `[[egress.local]]
action = "${action}"
methods = ["${method}"]
path_prefix = "/"
host = "${HOST}"
address = "127.0.0.1"
port = ${origin.port}
ca_file = "ca.pem"
`;
  return {
    port: origin.port,
    url: `https://${HOST}:${origin.port}/`,
    requests,
    arrived: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    setup: {
      config: allow("http_fetch", "GET") + allow("http_post", "POST"),
      files: { ".latchgate/ca.pem": authority.certificate },
    },
    [Symbol.asyncDispose]: () => origin.close(),
  };
}
