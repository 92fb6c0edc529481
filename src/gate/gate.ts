import type { LocalTarget, Registry, StatementReader } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import type { Connections } from "../core/plan/connections.ts";
import type { Host } from "../host/index.ts";
import type {
  LeaseSigner,
  LeaseVerifier,
  OperatorDirectory,
  PrincipalDirectory,
  ReplayStore,
} from "../identity/index.ts";
import type { TimestampAuthority } from "../ledger/anchor/timestamp/authority.ts";
import type { LedgerReader } from "../ledger/reader.ts";
import type { PolicyEngine } from "../policy/contract.ts";
import type { Sandbox } from "../sandbox/index.ts";
import type { ComponentLog } from "./component-log.ts";
import type { Ledger } from "./ledger.ts";
import type { RunningCalls } from "./running.ts";
import type { SessionRoots } from "./session-root.ts";
import type { Shed } from "./shed.ts";

/** What every request works with. Made once at start; the parts that change are snapshots or look things up. */
export interface Gate {
  readonly config: Config;
  readonly clock: Clock;
  readonly newId: () => string;
  /** The account that the gate runs under. */
  readonly uid: number;
  readonly ledger: Ledger;
  readonly reader: LedgerReader;
  readonly registry: Registry;
  /** Reads SQL that comes with calls. */
  readonly statements: StatementReader;
  readonly policy: PolicyEngine;
  readonly sandbox: Sandbox;
  readonly host: Host;
  /** Component digest by provider reference. */
  readonly components: ReadonlyMap<string, string>;
  readonly leases: LeaseVerifier;
  readonly replay: ReplayStore;
  readonly operators: OperatorDirectory;
  readonly principals: PrincipalDirectory;
  readonly running: RunningCalls;
  readonly shed: Shed;
  readonly componentLog: ComponentLog;
  /** Folder for file actions, canonical. */
  readonly fsRoot: string;
  /** The folders, canonical, at or below which a session's folder lies: {@link fsRoot} and those of `[fs] allowed_roots`. */
  readonly fsRoots: readonly string[];
  readonly sessionRoots: SessionRoots;
  readonly keysDir: string;
  /** Local targets by action, see `[[egress.local]]`. */
  readonly localTargets: ReadonlyMap<string, readonly LocalTarget[]>;
  /** Endpoints that manifests may name, see `[[connections.*]]`. */
  readonly connections: Connections;
  /** Those of the configuration, with the certificates that vouch for them. */
  readonly timestampAuthorities: readonly TimestampAuthority[];
  readonly state: GateState;
}

/** The few things that change while the gate runs. */
export interface GateState {
  epoch: number;
  draining: boolean;
  /** The lease key in force. */
  leaseSigner: LeaseSigner;
  readonly startedMs: number;
}
