export type { Broker, BrokerJob } from "./broker.ts";
export { createDoor, type DoorRequest, type GuardedDoor, type HostDeps } from "./door.ts";
export { HostSetupError } from "./failure.ts";
export { createHost, type Host, type HostOptions, type HostStats } from "./host.ts";
export { isPublicAddress } from "./http/addresses.ts";
export { HTTP_TIMEOUTS, type HttpTimeouts } from "./http/broker.ts";
export type { ListenerAddress, LocalEgress } from "./http/local-egress.ts";
export type { ProxySetting } from "./http/proxy.ts";
