export type { ConnectionOrigin, RequestHandler } from "./connection.ts";
export { ClientGone, HttpFault } from "./fault.ts";
export { createFront, type Front, type FrontOptions, type ListenOptions } from "./front.ts";
export { FRONT_LIMITS, type FrontLimits } from "./limits.ts";
export { type RateLimit, RateLimiter, type RateVerdict } from "./rate-limit.ts";
export type { FrontRequest, SocketLabel } from "./request.ts";
export type { FrontResponse, FrontStream, ResponseHeaders } from "./response.ts";
export { SocketPathError, type SocketPlacement } from "./socket-file.ts";
