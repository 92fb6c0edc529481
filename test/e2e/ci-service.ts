/** A CI service on loopback, over TLS by an authority of its own, that keeps the deployments it was asked for. */
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import { issue, makeAuthority } from "../certificates.ts";

export interface Deployment {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly tag: string;
  /** What its next readings say; the last one stays. */
  readonly statuses: string[];
}

export interface CiService {
  readonly port: number;
  /** PEM of its authority. */
  readonly authority: string;
  readonly deployments: readonly Deployment[];
  /** `METHOD path authorization` of each request. */
  readonly requests: readonly string[];
  /** The id and the statuses of deployments from now on. */
  next: { id: unknown; statuses: readonly string[] };
  close(): Promise<void>;
}

const PATH = /^\/api\/v1\/projects\/([a-z0-9-]+)\/deployments(?:\/([^/?]+))?$/;

export async function startCiService(host: string, token: string): Promise<CiService> {
  const authority = makeAuthority("ci authority");
  const deployments: Deployment[] = [];
  const requests: string[] = [];
  const service = {
    next: { id: "dep-1" as unknown, statuses: ["running", "succeeded"] as readonly string[] },
  };

  /** Status and content. */
  function answer({ method = "", url = "", headers }: IncomingMessage, body: string): [number, object] {
    requests.push(`${method} ${url} ${headers.authorization ?? ""}`);
    if (headers.authorization !== `Bearer ${token}`) return [401, { error: "bad credentials" }];
    const [, project = "", id] = PATH.exec(url) ?? [];
    if (project === "") return [404, { error: "no such place" }];
    if (method === "POST" && id === undefined) {
      const { environment, tag } = JSON.parse(body) as { environment: string; tag: string };
      const made = { id: String(service.next.id), project, environment, tag };
      deployments.push({ ...made, statuses: [...service.next.statuses] });
      return [201, { ...made, id: service.next.id, status: "running" }];
    }
    const found = deployments.find(
      (one) => one.project === project && one.id === decodeURIComponent(id ?? ""),
    );
    if (method !== "GET" || found === undefined) return [404, { error: "no such deployment" }];
    const { statuses, ...facts } = found;
    return [200, { ...facts, status: statuses.length > 1 ? statuses.shift() : statuses[0] }];
  }

  const server = createServer(issue(authority, { names: [host] }), (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const [status, content] = answer(request, Buffer.concat(chunks).toString());
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(content));
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return Object.assign(service, {
    port: address.port,
    authority: authority.certificate,
    deployments,
    requests,
    close: () =>
      new Promise<void>((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  });
}
