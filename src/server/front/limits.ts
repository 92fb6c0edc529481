/** What one listener bears. Times in milliseconds, sizes in bytes. */
export interface FrontLimits {
  /** From accept, or from the first byte of a request, to the end of its headers. */
  readonly headerMs: number;
  /** From the first byte of a request to the end of its body, while someone waits for the body. */
  readonly requestMs: number;
  /** Between two requests of one connection. */
  readonly idleMs: number;
  /** How long a finished answer may wait for a client that does not read. */
  readonly writeMs: number;
  /** How long a refused client may go on sending before its connection is cut. */
  readonly lingerMs: number;
  /** How much it may send in that time. */
  readonly lingerBytes: number;
  /** Request line and headers together. */
  readonly headerBytes: number;
  readonly headerCount: number;
  readonly uriBytes: number;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Connections of one uid, so that no account keeps the others out. */
  readonly connectionsPerUid: number;
  /** Requests of one connection that may wait for their answers. */
  readonly pipelined: number;
}

export const FRONT_LIMITS: FrontLimits = {
  headerMs: 10_000,
  requestMs: 30_000,
  idleMs: 75_000,
  writeMs: 30_000,
  lingerMs: 1_000,
  lingerBytes: 4_194_304,
  headerBytes: 16_384,
  headerCount: 100,
  uriBytes: 8_192,
  bodyBytes: 1_048_576,
  connections: 1_024,
  connectionsPerUid: 256,
  pipelined: 16,
};
