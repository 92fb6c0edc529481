import { sha256 } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { HostAnswer } from "../../core/host-call.ts";
import { isBucketName, objectKeyFault } from "../../core/object-key.ts";
import type { StorageConnection } from "../../core/plan/connections.ts";
import type { StoragePlan } from "../../core/plan.ts";
import type { Broker, BrokerJob } from "../broker.ts";
import type { Endpoints } from "../endpoints.ts";
import { HostFailure } from "../failure.ts";
import type { HttpTimeouts } from "../http/broker.ts";
import { ConnectionPool } from "../http/connections.ts";
import { exchange, type Incoming } from "../http/exchange.ts";
import type { ProxyRoute, ProxyRoutes } from "../http/proxy.ts";
import { headerOf, refusalOfAnswer } from "./answer.ts";
import { hostOf, type ObjectRequest, objectRequest } from "./object-request.ts";

export interface StorageBrokerDeps {
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  readonly connections: ReadonlyMap<string, StorageConnection>;
  readonly timeouts: HttpTimeouts;
  /** The way to stores at public addresses; null to dial them directly. */
  readonly proxy: ProxyRoutes | null;
  readonly isPublic: (address: string) => boolean;
}

/** An answer to a put, or one that refuses, is a few lines of XML. */
const SHORT_ANSWER = 65_536;

/** Puts and gets planned objects, once each, at the stores of the configuration. */
export class StorageBroker implements Broker<"storage"> {
  private readonly deps: StorageBrokerDeps;
  private readonly pool = new ConnectionPool();

  constructor(deps: StorageBrokerDeps) {
    this.deps = deps;
  }

  async perform(job: BrokerJob<"storage">): Promise<HostAnswer> {
    const { plan, record, signal, secrets, limits } = job;
    const connection = this.connection(plan);
    if (!isBucketName(plan.bucket) || objectKeyFault(plan.key) !== null)
      throw new HostFailure("path_not_allowed", "bucket or key is not one that the broker asks for");
    if ((plan.content?.length ?? 0) > limits.requestBytes)
      throw new HostFailure("request_too_large", "object over the limit");
    const request = objectRequest(plan, secrets.bytes(plan.secret), this.deps.clock.now());
    const answer = await this.exchange(job, request, connection.ca, signal);
    record.reached = "confirmed";
    const refusal = refusalOfAnswer(answer, plan);
    if (refusal !== null) throw refusal;
    record.etag = requiredEtag(answer);
    record.version = headerOf(answer, "x-amz-version-id");
    return plan.operation === "put" ? written(plan, record.etag) : this.read(job, answer, record.etag);
  }

  close(): Promise<void> {
    return this.pool.close();
  }

  private connection(plan: StoragePlan): StorageConnection {
    const found = this.deps.connections.get(plan.connection);
    // A held call may come back to another configuration: what was approved is what is reached, or nothing is.
    if (found === undefined || !Bun.deepEquals(found.endpoint, plan.endpoint) || found.secret !== plan.secret)
      throw new HostFailure("connection_missing", "the configuration has no such connection any more");
    return found;
  }

  /** A store that the operator has at an address of their own is not behind the proxy. */
  private async route(
    address: string,
    { secrets }: BrokerJob<"storage">,
    signal: AbortSignal,
  ): Promise<ProxyRoute | null> {
    const { proxy, isPublic } = this.deps;
    return proxy === null || !isPublic(address) ? null : proxy.route(secrets, signal);
  }

  private async exchange(
    job: BrokerJob<"storage">,
    request: ObjectRequest,
    ca: string | null,
    signal: AbortSignal,
  ): Promise<Incoming> {
    const { plan, record, limits } = job;
    const { endpoints, timeouts } = this.deps;
    const { port, tls } = plan.endpoint;
    const host = hostOf(plan);
    const place = await endpoints.locate({ host, port, tls }, ca, tls === "off" ? "http" : "https", signal);
    record.address = place.address;
    const route = await this.route(place.address, job, signal);
    // A tunnel is opened with the caller's own login; without one, the store cannot tell who uses a connection.
    const owner = route === null || route.login === null ? "" : job.owner;
    const open = this.pool.acquire({ ...place.target, owner }, route, timeouts.connectMs, signal);
    open.catch(() => endpoints.forget(host));
    const connection = await open;
    const most = plan.operation === "get" ? Math.min(plan.maxBytes, limits.responseBytes) : 0;
    return exchange(
      connection,
      request,
      {
        headerMs: timeouts.headerMs,
        idleMs: timeouts.idleMs,
        responseBytes: Math.max(most, SHORT_ANSWER),
      },
      {
        sending: () => {
          record.reached = "maybe";
        },
        status: (status) => {
          record.status = status;
        },
        received: (bytes) => {
          record.responseBytes = bytes;
        },
      },
      null,
      signal,
    );
  }

  private read({ plan, record, limits }: BrokerJob<"storage">, answer: Incoming, etag: string): HostAnswer {
    if (answer.body.length > Math.min(plan.maxBytes, limits.responseBytes))
      throw new HostFailure("response_too_large", "object over the limit");
    const hash = sha256(answer.body);
    const stored = headerOf(answer, "x-amz-checksum-sha256");
    // A checksum of parts ends with their number, and is over their checksums.
    if (stored !== null && !stored.includes("-") && stored !== hash.toString("base64"))
      throw new HostFailure("integrity_failed", "the object is not the one that was stored");
    record.responseHash = hash.toString("hex");
    const contentType = headerOf(answer, "content-type");
    return { kind: "storage.get-object", ok: { content: answer.body, contentType, etag, hash } };
  }
}

function written({ content }: StoragePlan, etag: string): HostAnswer {
  const bytes = content ?? new Uint8Array();
  return {
    kind: "storage.put-object",
    ok: { etag, contentHash: sha256(bytes), bytesWritten: bytes.length },
  };
}

function requiredEtag(answer: Incoming): string {
  const etag = headerOf(answer, "etag");
  if (etag === null) throw new HostFailure("malformed_response", "the store gives no etag");
  return etag;
}
