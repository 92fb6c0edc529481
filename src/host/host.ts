import { type Clock, systemClock } from "../core/clock.ts";
import type { HostDoor } from "../core/host-call.ts";
import { type RandomSource, systemRandom } from "../core/ids.ts";
import { type Connections, NO_CONNECTIONS } from "../core/plan/connections.ts";
import type { SecretSource } from "../core/secrets.ts";
import { selfCommand } from "../core/self.ts";
import type { Brokers } from "./broker.ts";
import { DatabaseBroker } from "./database/broker.ts";
import { createDoor, type DoorRequest, type GuardedDoor, type HostDeps } from "./door.ts";
import { Endpoints } from "./endpoints.ts";
import { FsBroker } from "./fs/broker.ts";
import { type FileIo, pooledFileIo } from "./fs/contents.ts";
import { type Kernel, linuxKernel } from "./fs/kernel.ts";
import { isPublicAddress } from "./http/addresses.ts";
import { HTTP_TIMEOUTS, HttpBroker, type HttpTimeouts } from "./http/broker.ts";
import type { ConnectionStats } from "./http/connections.ts";
import { type ListenerAddress, type LocalEgress, loadLocalEgress } from "./http/local-egress.ts";
import { ProxyRoutes, type ProxySetting, readProxy } from "./http/proxy.ts";
import { nameResolver, type Resolve } from "./http/resolver.ts";
import { MAIL_TIMEOUTS, MailBroker, type MailTimeouts } from "./mail/broker.ts";
import { QueueBroker } from "./queue/broker.ts";
import { Automata } from "./scrub/automata.ts";
import { StorageBroker } from "./storage/broker.ts";

export interface HostOptions {
  /** Absolute, canonical paths of the folders that file plans may name as roots. None by default. */
  readonly fsRoots?: readonly string[];
  /** `[[egress.local]]` entries. None by default. */
  readonly localEgress?: readonly LocalEgress[];
  /** The gate's own listeners, asked at every dial: some ports are known only after a start. */
  readonly listeners?: () => readonly ListenerAddress[];
  /** Name servers as `address[:port]`; the system's by default. */
  readonly nameServers?: readonly string[];
  /** PEM authorities for https in place of Mozilla's set, which comes with the runtime. */
  readonly authorities?: readonly string[];
  readonly timeouts?: Partial<HttpTimeouts>;
  readonly mailTimeouts?: Partial<MailTimeouts>;
  /** How to start this program again; itself by default. */
  readonly self?: readonly string[];
  /** Endpoints that plans may name; none by default. */
  readonly connections?: Connections;
  /** Where brokers get credentials from, through the door; nowhere when null or absent. */
  readonly secrets?: SecretSource | null;
  /**
   * HTTP requests and those of object stores go to public addresses through it; `[[egress.local]]` targets, stores at
   * other addresses and every other kind of connection never do.
   */
  readonly proxy?: ProxySetting;
  readonly clock?: Clock;
  readonly random?: RandomSource;
  /** Replacements for tests alone: no setting and no environment variable leads here. */
  readonly testing?: {
    readonly resolve?: Resolve;
    readonly isPublic?: (address: string) => boolean;
    readonly dial?: (address: string, port: number) => { readonly address: string; readonly port: number };
    readonly kernel?: Kernel;
    readonly io?: FileIo;
  };
}

export interface HostStats {
  readonly doors: number;
  readonly connections: ConnectionStats;
}

/** The brokers of one gate. */
export interface Host {
  /** Opens the door of one granted call. After `close` it is shut from the start. */
  door(request: DoorRequest): GuardedDoor;
  stats(): HostStats;
  /** Closes every door and connection; resolves when nothing can happen any more. */
  close(): Promise<void>;
}

/** Makes the brokers; opens the file roots and reads the CA files. Throws `HostSetupError`. */
export function createHost(options: HostOptions = {}): Host {
  const clock = options.clock ?? systemClock;
  const testing = options.testing ?? {};
  const resolve = testing.resolve ?? nameResolver(options.nameServers ?? null);
  const dial = testing.dial ?? ((address: string, port: number) => ({ address, port }));
  const authorities = options.authorities ?? null;
  const isPublic = testing.isPublic ?? isPublicAddress;
  const httpTimeouts = { ...HTTP_TIMEOUTS, ...options.timeouts };
  const proxy =
    options.proxy === undefined
      ? null
      : new ProxyRoutes(readProxy(options.proxy), resolve, httpTimeouts.dnsMs);
  const http = new HttpBroker({
    clock,
    resolve,
    isPublic,
    dial,
    authorities,
    localTargets: loadLocalEgress(options.localEgress ?? []),
    listeners: options.listeners ?? (() => []),
    timeouts: httpTimeouts,
    proxy,
  });
  const fs = new FsBroker({
    kernel: testing.kernel ?? linuxKernel(),
    io: testing.io ?? pooledFileIo,
    random: options.random ?? systemRandom,
    roots: options.fsRoots ?? [],
  });
  const connections = options.connections ?? NO_CONNECTIONS;
  const self = options.self ?? selfCommand;
  const endpoints = new Endpoints({
    clock,
    resolve,
    dial,
    authorities,
    listeners: options.listeners ?? (() => []),
    dnsMs: options.timeouts?.dnsMs ?? HTTP_TIMEOUTS.dnsMs,
  });
  const database = new DatabaseBroker({ clock, endpoints, connections: connections.database, self });
  const mail = new MailBroker({
    clock,
    random: options.random ?? systemRandom,
    endpoints,
    connections: connections.mail,
    timeouts: { ...MAIL_TIMEOUTS, ...options.mailTimeouts },
  });
  const queue = new QueueBroker({
    clock,
    random: options.random ?? systemRandom,
    endpoints,
    connections: connections.queue,
    connectMs: httpTimeouts.connectMs,
  });
  const storage = new StorageBroker({
    clock,
    endpoints,
    connections: connections.storage,
    timeouts: httpTimeouts,
    proxy,
    isPublic,
  });
  const brokers: Brokers = { http, fs, database, mail, queue, storage };
  const automata = new Automata({ clock });
  return new RunningHost({
    clock,
    brokers,
    secrets: options.secrets ?? null,
    automata,
    proxySecret: proxy?.secret ?? null,
  });
}

class RunningHost implements Host {
  private readonly deps: HostDeps;
  private readonly doors = new Set<HostDoor>();
  private closed = false;

  constructor(deps: HostDeps) {
    this.deps = deps;
  }

  door(request: DoorRequest): GuardedDoor {
    const signal = this.closed ? AbortSignal.abort() : request.signal;
    const door = createDoor({
      ...request,
      signal,
      deps: this.deps,
      onClosed: () => this.doors.delete(door),
    });
    this.doors.add(door);
    return door;
  }

  stats(): HostStats {
    return { doors: this.doors.size, connections: this.deps.brokers.http.stats() };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await Promise.all([...this.doors].map((door) => door.close()));
    const { http, fs, database, mail, queue, storage } = this.deps.brokers;
    await Promise.all([http, database, mail, queue, storage].map((broker) => broker?.close()));
    fs.close();
    this.deps.automata.close();
  }
}
