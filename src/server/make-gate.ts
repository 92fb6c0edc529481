import type { Registry } from "../actions/index.ts";
import { forwardClock, systemClock } from "../core/clock.ts";
import { uuidv7Maker } from "../core/ids.ts";
import { ComponentLog } from "../gate/component-log.ts";
import type { Gate } from "../gate/gate.ts";
import type { Ledger } from "../gate/ledger.ts";
import { RunningCalls } from "../gate/running.ts";
import { SessionRoots } from "../gate/session-root.ts";
import { Shed } from "../gate/shed.ts";
import { LeaseVerifier, ReplayStore } from "../identity/index.ts";
import type { LedgerReader } from "../ledger/reader.ts";
import type { PolicyEngine } from "../policy/contract.ts";
import type { Sandbox } from "../sandbox/index.ts";
import type { Borders } from "./borders.ts";
import { localTargets } from "./egress.ts";
import { operatorDirectory, principalDirectory } from "./identities.ts";
import { currentLeaseSigner } from "./keys.ts";
import { leaseKeys } from "./lease-keys.ts";
import type { projectPaths } from "./project-paths.ts";
import type { StartOptions } from "./start.ts";

/** A clock that stands further back than this is worth a word to the operator. */
const CLOCK_SLACK_MS = 5_000;

export interface GateParts {
  readonly registry: Registry;
  readonly policy: PolicyEngine;
  readonly borders: Borders;
  readonly sandbox: Sandbox;
  readonly ledger: Ledger;
  readonly reader: LedgerReader;
  readonly components: ReadonlyMap<string, string>;
}

/** A gate of its parts. Opens nothing; nobody is served yet. */
export function makeGate(
  { config, report, log }: StartOptions,
  at: ReturnType<typeof projectPaths>,
  { registry, policy, borders, sandbox, ledger, reader, components }: GateParts,
): Gate {
  const clock = forwardClock(systemClock, ledger.highWater);
  const behind = clock.now() - systemClock.now();
  if (behind > CLOCK_SLACK_MS)
    report(
      `the clock stands ${Math.ceil(behind / 1000)} s before the log's last time; leases, holds and proofs go by the log's`,
    );
  const { limits } = config;
  return {
    config,
    clock,
    newId: uuidv7Maker(clock.now),
    uid: process.getuid?.() ?? -1,
    ledger,
    reader,
    registry,
    statements: borders.statements,
    policy,
    sandbox,
    host: borders.host,
    components,
    leases: new LeaseVerifier(leaseKeys(reader, config.lease.key_grace_s * 1000)),
    replay: new ReplayStore(clock, {
      capacity: limits.replay_entries,
      perKey: limits.replay_entries_per_key,
    }),
    operators: operatorDirectory(config),
    principals: principalDirectory(config),
    running: new RunningCalls(),
    shed: new Shed(clock.now, limits.denials_per_minute),
    componentLog: new ComponentLog({ clock: systemClock, level: config.log.components, write: log }),
    fsRoot: borders.fsRoots[0],
    fsRoots: borders.fsRoots,
    sessionRoots: new SessionRoots(reader),
    keysDir: at.keys,
    localTargets: localTargets(config),
    connections: borders.connections,
    timestampAuthorities: borders.parties.authorities.map(({ authority }) => authority),
    state: {
      epoch: 0,
      draining: false,
      leaseSigner: currentLeaseSigner(reader, at.keys),
      startedMs: clock.now(),
    },
  };
}
