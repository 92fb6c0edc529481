import { rootCertificates } from "node:tls";
import { sha256Hex } from "../../core/bytes.ts";
import type { Clock } from "../../core/clock.ts";
import type { HttpEffect } from "../../core/effect.ts";
import type { HttpAnswer } from "../../core/host-call.ts";
import { type CallLimits, type Header, HTTP_METHODS, type HttpPlan } from "../../core/plan.ts";
import { type SecretBinding, secretNames } from "../../core/secret-binding.ts";
import type { OpenSecrets } from "../../core/secrets.ts";
import { hostMatches, parseTargetUrl, type TargetUrl } from "../../core/url.ts";
import { HostFailure } from "../failure.ts";
import type { Writable } from "../record.ts";
import type { Scrubber } from "../scrub/scrubber.ts";
import { sameAddress } from "./addresses.ts";
import { firstToConnect } from "./attempts.ts";
import { type DialTarget, type TrustSet, trustSet } from "./connect.ts";
import { type Connection, ConnectionPool, type ConnectionStats } from "./connections.ts";
import { exchange, type Incoming } from "./exchange.ts";
import { inject, type Request } from "./inject.ts";
import { findLocalTarget, type ListenerAddress, type LocalTarget, reachesListener } from "./local-egress.ts";
import { type Addresses, Pins } from "./pins.ts";
import type { ProxyRoute, ProxyRoutes } from "./proxy.ts";
import { checkRequestHeaders } from "./request-headers.ts";
import type { Resolve } from "./resolver.ts";
import { within } from "./within.ts";

/** Milliseconds; each also ends with the call's deadline. */
export interface HttpTimeouts {
  readonly dnsMs: number;
  /** Until the TLS handshake is done. */
  readonly connectMs: number;
  readonly headerMs: number;
  readonly idleMs: number;
}

export const HTTP_TIMEOUTS: HttpTimeouts = { dnsMs: 5000, connectMs: 5000, headerMs: 15_000, idleMs: 10_000 };

export interface HttpBrokerDeps {
  readonly clock: Clock;
  readonly resolve: Resolve;
  readonly isPublic: (address: string) => boolean;
  /** Where a judged address is really dialled; the identity outside of tests. */
  readonly dial: (address: string, port: number) => { readonly address: string; readonly port: number };
  /** PEM authorities for targets without their own. */
  readonly authorities: readonly string[] | null;
  readonly localTargets: readonly LocalTarget[];
  readonly listeners: () => readonly ListenerAddress[];
  readonly timeouts: HttpTimeouts;
  /** Null to dial targets directly. */
  readonly proxy: ProxyRoutes | null;
}

export interface HttpJob {
  readonly plan: HttpPlan;
  readonly action: string;
  readonly limits: CallLimits;
  /** What the component asked for; 0 for no limit of its own. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly record: Writable<HttpEffect>;
  /** Null when the request needs none. */
  readonly credentials: JobCredentials | null;
  /** Plain http goes to a local entry of the operator alone, never to a public address. */
  readonly plainLocal?: boolean;
}

export interface JobCredentials {
  readonly bindings: readonly SecretBinding[];
  readonly secrets: OpenSecrets;
  readonly scrubber: Scrubber;
  /** Whose they are: a connection that has carried them serves nobody else. */
  readonly owner: string;
}

/** Set-Cookie would hand the component a session that nobody granted. */
const NEVER_SHOWN = new Set(["set-cookie", "set-cookie2"]);

/** Sends planned requests, once each, to where they are allowed to go. */
export class HttpBroker {
  private readonly deps: HttpBrokerDeps;
  private readonly pins: Pins;
  private readonly pool = new ConnectionPool();
  private readonly trust: TrustSet;
  private readonly localTrust: ReadonlyMap<LocalTarget, TrustSet>;

  constructor(deps: HttpBrokerDeps) {
    this.deps = deps;
    this.pins = new Pins(deps.resolve, deps.isPublic, deps.clock);
    this.trust = trustSet(deps.authorities ?? rootCertificates);
    this.localTrust = new Map(
      deps.localTargets.flatMap((target) => (target.ca === null ? [] : [[target, trustSet([target.ca])]])),
    );
  }

  /**
   * Performs a plan. The record is kept current throughout. Throws {@link HostFailure}, or the signal's reason.
   */
  async perform(job: HttpJob): Promise<HttpAnswer> {
    const url = this.admit(job);
    if (job.timeoutMs === 0) return this.send(job, url, job.signal);
    const late = new HostFailure("deadline", "the component's own time limit has passed");
    return within(job.timeoutMs, late, job.signal, (signal) => this.send(job, url, signal));
  }

  stats(): ConnectionStats {
    return this.pool.stats();
  }

  close(): Promise<void> {
    return this.pool.close();
  }

  /** Every check that needs no network. */
  private admit(job: HttpJob): TargetUrl {
    const { plan, limits } = job;
    // The door has found the plan's text to be the normal form: this reading sees what it saw.
    const url = parseTargetUrl(plan.url);
    if (!HTTP_METHODS.includes(plan.method))
      throw new HostFailure("operation_not_allowed", "method is not one that the broker sends");
    if (!plan.hosts.some((pattern) => hostMatches(pattern, url.host)))
      throw new HostFailure("host_not_allowed", "host is outside the action's egress");
    checkRequestHeaders(plan.headers);
    if ((plan.body?.length ?? 0) > limits.requestBytes)
      throw new HostFailure("request_too_large", "request body over the limit");
    return url;
  }

  private async send(job: HttpJob, url: TargetUrl, signal: AbortSignal): Promise<HttpAnswer> {
    const { plan, record, limits } = job;
    const { timeouts } = this.deps;
    const target = await this.target(job, url, signal);
    record.address = target.ways[0].pinned;
    const { credentials } = job;
    const { proxy } = this.deps;
    const route =
      target.local || proxy === null ? null : await proxy.route(credentials?.secrets ?? null, signal);
    // Before a connection is opened: what no place can carry is refused without a trace on the network.
    const outgoing = request(plan, url, credentials);
    const { way, connection } = await this.connect(url, target, credentials?.owner ?? "", route, signal);
    record.address = way.pinned;
    const answer = await exchange(
      connection,
      {
        method: plan.method,
        authority: url.origin.slice(url.scheme.length + 3),
        ...outgoing,
      },
      { headerMs: timeouts.headerMs, idleMs: timeouts.idleMs, responseBytes: limits.responseBytes },
      {
        sending: () => {
          record.reached = "maybe";
          record.secrets = credentials === null ? [] : secretNames(credentials.bindings);
        },
        status: (status) => {
          record.status = status;
        },
        received: (bytes) => {
          record.responseBytes = bytes;
        },
      },
      credentials?.scrubber ?? null,
      signal,
    );
    record.responseHash = sha256Hex(answer.body);
    record.reached = "confirmed";
    return { status: answer.status, headers: shown(answer, plan, credentials), body: answer.body };
  }

  private async target(job: HttpJob, url: TargetUrl, signal: AbortSignal): Promise<Target> {
    const { deps } = this;
    const local = findLocalTarget(deps.localTargets, job.action, job.plan.method, url);
    if (local !== null) {
      if (reachesListener(local, deps.listeners()))
        throw new HostFailure("host_not_allowed", "target is a listener of the gate itself");
      const trust = url.scheme === "https" ? (this.localTrust.get(local) ?? this.trust) : null;
      const { address, port } = local;
      return { ways: [wayTo(url, address, { address, port }, trust)], local: true };
    }
    if (url.scheme === "http" && job.plainLocal === true)
      throw new HostFailure("scheme_not_allowed", "plain http is not for public addresses here");
    if (url.port !== (url.scheme === "https" ? 443 : 80))
      throw new HostFailure("port_not_allowed", "only the scheme's own port");
    const pinned =
      url.literal === 0 ? await this.pin(url.host, signal) : ([this.pins.literal(url.host)] as const);
    const own = (listener: ListenerAddress) =>
      listener.port === url.port && pinned.some((address) => sameAddress(listener.address, address));
    if (deps.listeners().some(own))
      throw new HostFailure("host_not_allowed", "target is a listener of the gate itself");
    const trust = url.scheme === "https" ? this.trust : null;
    const way = (address: string) => wayTo(url, address, deps.dial(address, url.port), trust);
    const [first, ...others] = pinned;
    return { ways: [way(first), ...others.map(way)], local: false };
  }

  private pin(host: string, signal: AbortSignal): Promise<Addresses> {
    const late = new HostFailure("dns_failed", "name was not resolved in time");
    return within(this.deps.timeouts.dnsMs, late, signal, (inner) => this.pins.addresses(host, inner));
  }

  /** A proxy is asked once, for the first address: what it cannot reach is not ours to find out. */
  private async connect(
    { host }: TargetUrl,
    { ways }: Target,
    owner: string,
    route: ProxyRoute | null,
    signal: AbortSignal,
  ): Promise<{ readonly way: Way; readonly connection: Connection }> {
    try {
      const opened = await firstToConnect(
        route === null ? ways : [ways[0]],
        this.deps.timeouts.connectMs,
        signal,
        ({ dial }, timeoutMs, inner, reached) =>
          this.pool.acquire({ ...dial, owner }, route, timeoutMs, inner, reached),
      );
      this.pins.prefer(host, opened.way.pinned);
      return opened;
    } catch (thrown) {
      this.pins.forget(host);
      throw thrown;
    }
  }
}

interface Target {
  /** In the order to try. */
  readonly ways: readonly [Way, ...Way[]];
  /** Reached by an operator's entry; never through the proxy. */
  readonly local: boolean;
}

interface Way {
  /** The address as judged, for the record. */
  readonly pinned: string;
  /** Its owner is not known yet. */
  readonly dial: Omit<DialTarget, "owner">;
}

function wayTo(
  { scheme, host }: TargetUrl,
  pinned: string,
  { address, port }: { readonly address: string; readonly port: number },
  trust: TrustSet | null,
): Way {
  return { pinned, dial: { scheme, host, address, port, trust } };
}

/** The declared headers of an answer, true of the body as it is handed on. */
function shown(answer: Incoming, plan: HttpPlan, credentials: JobCredentials | null): Header[] {
  const headers: Header[] = [];
  for (const [name, value] of answer.headers) {
    if (!plan.responseHeaders.includes(name) || NEVER_SHOWN.has(name)) continue;
    if (name === "content-encoding") continue;
    const changed = answer.decoded || credentials !== null;
    if (name === "content-length" && changed && plan.method !== "HEAD")
      headers.push([name, String(answer.body.length)]);
    else headers.push([name, credentials?.scrubber.header(value) ?? value]);
  }
  return headers;
}

/** The request as it is sent: what the plan says, and the credentials where the plan says. */
function request(plan: HttpPlan, url: TargetUrl, credentials: JobCredentials | null): Request {
  const planned = { target: url.path + url.query, headers: plan.headers, body: plan.body };
  if (credentials === null) return planned;
  return inject(planned, url, credentials.bindings, credentials.secrets);
}
