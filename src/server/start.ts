import { loadPostgresParser } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import { forwardClock, systemClock } from "../core/clock.ts";
import { type LatchGateError, messageOf } from "../core/errors.ts";
import { uuidv7Maker } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import { VERSION } from "../core/version.ts";
import { ComponentLog } from "../gate/component-log.ts";
import type { Gate } from "../gate/gate.ts";
import { Ledger } from "../gate/ledger.ts";
import { RunningCalls } from "../gate/running.ts";
import { SessionRoots } from "../gate/session-root.ts";
import { Shed } from "../gate/shed.ts";
import { LeaseVerifier, ReplayStore } from "../identity/index.ts";
import type { LedgerError } from "../ledger/errors.ts";
import { lockLedger } from "../ledger/lock.ts";
import { LedgerReader } from "../ledger/reader.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import { anchorParties, configuredParties } from "./anchor-parties.ts";
import { Anchoring } from "./anchoring.ts";
import { startChores } from "./chores.ts";
import { loadComponents } from "./components.ts";
import { readConnections } from "./connections.ts";
import { fileRoots, localTargets, openHost } from "./egress.ts";
import { checkpointRhythm, unsafeSettings } from "./evidence.ts";
import { operatorDirectory, principalDirectory } from "./identities.ts";
import { currentLeaseSigner } from "./keys.ts";
import { leaseKeys } from "./lease-keys.ts";
import { makeFront, openSockets, type Sockets, socketPaths } from "./listen.ts";
import { policyFindings, readPolicy, reportFindings } from "./policy.ts";
import { projectPaths } from "./project-paths.ts";
import { readRegistry } from "./registry.ts";
import { openSandbox } from "./runners.ts";
import { openSecrets } from "./secrets.ts";
import { stopGate } from "./stop.ts";
import { VerifyingKeysFile } from "./verifying-keys.ts";

/** A clock that stands further back than this is worth a word to the operator. */
const CLOCK_SLACK_MS = 5_000;

export interface StartOptions {
  /** The project folder, `.latchgate`. */
  readonly dir: string;
  readonly config: Config;
  /** What opens the secrets file. */
  readonly identity: IdentitySource;
  /** One line for the operator about something that went wrong while serving. */
  readonly report: (line: string) => void;
  /** Entries of the operator's log. */
  readonly log: (entries: readonly JsonObject[]) => Promise<void>;
  /** Called when the ledger can't be written any more and the gate has answered what it had. */
  readonly onFatal: (error: LatchGateError) => void;
}

export interface RunningServer {
  readonly gate: Gate;
  readonly sockets: Sockets;
  /** Grants of an earlier run that were closed as indeterminate. */
  readonly closedGrants: number;
  /** Stops taking calls, lets those under way finish within the drain time, and signs a checkpoint. */
  stop(reason: string): Promise<void>;
}

/** Assembles a gate from its folder and listens. Anything that is not right keeps it from starting, with its code. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { dir, config } = options;
  const paths = projectPaths(dir);
  const lock = lockLedger(paths.lock);
  const undo: (() => unknown)[] = [() => lock.release()];
  try {
    const started = await assemble(options, paths, undo);
    return started;
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }

  async function assemble(
    { report, log, onFatal, identity }: StartOptions,
    at: ReturnType<typeof projectPaths>,
    cleanup: (() => unknown)[],
  ): Promise<RunningServer> {
    // First of all: the runners start while this thread reads the catalogue.
    const runners = openSandbox(config, report);
    runners.catch(() => undefined); // thrown below, where it is awaited
    cleanup.push(() =>
      runners.then(
        (opened) => opened.close(),
        () => undefined, // what kept it from opening is thrown below
      ),
    );
    const [registry, { engine: policy, data }] = await Promise.all([
      readRegistry(config, at.actions),
      readPolicy(at.policyData),
    ]);
    reportFindings(policyFindings(data, registry), report);
    const fsRoots = fileRoots(config, dir);
    const connections = readConnections(config.connections, dir);
    const secrets = openSecrets(config, dir, identity, report);
    cleanup.push(() => secrets.close());
    const databases = [...connections.database.values()];
    if (databases.some(({ target }) => target.engine === "postgresql")) await loadPostgresParser();
    const host = openHost(config, dir, fsRoots, connections, secrets);
    cleanup.push(() => host.close());
    // Until somebody is served there is nobody to answer first.
    let fatal: (error: LedgerError) => void = onFatal;
    let anchoring: Anchoring | null = null;
    const parties = configuredParties(dir, config);
    const ledgerOptions = {
      ledgerPath: at.ledger,
      payloadsPath: at.payloads,
      keysDir: at.keys,
      gateVersion: VERSION,
      groupLimit: config.ledger.group_limit,
      checkpoints: checkpointRhythm(dir, config),
      checkpointOverlapMs: config.evidence.checkpoint_overlap_s * 1000,
      onFailure: (error: LedgerError) => fatal(error),
      onCheckpoint: () => anchoring?.submit(),
    };
    const opening = Ledger.open(ledgerOptions);
    // When the runners fail it is closed all the same, once it is there.
    cleanup.push(() =>
      opening.then(
        (opened) => opened.close().catch((error: unknown) => report(messageOf(error))),
        () => undefined, // as above
      ),
    );
    const [sandbox, ledger] = await Promise.all([runners, opening]);
    const clock = forwardClock(systemClock, ledger.highWater);
    const behind = clock.now() - systemClock.now();
    if (behind > CLOCK_SLACK_MS)
      report(
        `the clock stands ${Math.ceil(behind / 1000)} s before the log's last time; leases, holds and proofs go by the log's`,
      );
    const components = await loadComponents(registry, at.providers, sandbox, config.sandbox.unsafe_unlocked);
    const reader = new LedgerReader(at.ledger, at.payloads);
    cleanup.push(() => reader.close());
    const uid = process.getuid?.() ?? -1;
    const gate: Gate = {
      config,
      clock,
      newId: uuidv7Maker(clock.now),
      uid,
      ledger,
      reader,
      registry,
      policy,
      sandbox,
      host,
      components,
      leases: new LeaseVerifier(leaseKeys(reader, config.lease.key_grace_s * 1000)),
      replay: new ReplayStore(clock, {
        capacity: config.limits.replay_entries,
        perKey: config.limits.replay_entries_per_key,
      }),
      operators: operatorDirectory(config),
      principals: principalDirectory(config),
      running: new RunningCalls(),
      shed: new Shed(clock.now, config.limits.denials_per_minute),
      componentLog: new ComponentLog({ clock: systemClock, level: config.log.components, write: log }),
      fsRoot: fsRoots[0],
      fsRoots,
      sessionRoots: new SessionRoots(reader),
      keysDir: at.keys,
      localTargets: localTargets(config),
      connections,
      timestampAuthorities: parties.authorities.map(({ authority }) => authority),
      state: {
        epoch: 0,
        draining: false,
        leaseSigner: currentLeaseSigner(reader, at.keys),
        startedMs: clock.now(),
      },
    };
    const { epoch, closed } = await ledger.act("startGate", {
      gateVersion: VERSION,
      boundary: config.identity.principals[String(uid)] === undefined ? "uid" : "same_uid",
      policyVersion: policy.version,
      registryDigest: registry.digest,
      generation: registry.generation,
      actions: registry.list().length,
      unsafe: unsafeSettings(config),
      operators: gate.operators
        .list()
        .map(({ id, thumbprint: jkt, principals, tenant }) => ({ id, jkt, tenant, principals })),
    });
    gate.state.epoch = epoch;
    const exported = new VerifyingKeysFile(gate, report);
    exported.refresh();
    const sockets = socketPaths(dir, config);
    const front = makeFront(gate, sockets, at.ledger, report);
    cleanup.push(() => front.close(0));
    await openSockets(front, sockets, config);
    const signers = anchorParties(gate, parties, report);
    if (signers.length > 0)
      anchoring = new Anchoring(signers, config.evidence.checkpoint_seconds * 1000, report);
    cleanup.push(() => anchoring?.close());
    const timers = startChores(gate, report, exported);
    fatal = (error) => {
      gate.state.draining = true;
      for (const timer of timers) clearInterval(timer);
      void anchoring?.close();
      report(`the ledger can't be written any more: ${error.message}`);
      // What waits gets its 503 first.
      void front.close(1000).then(() => onFatal(error));
    };
    return {
      gate,
      sockets,
      closedGrants: closed,
      stop: async (reason) => {
        for (const timer of timers) clearInterval(timer);
        await stopGate(gate, front, lock, reason, anchoring);
        secrets.close();
      },
    };
  }
}
