import type { Config } from "../config/schema.ts";
import type { LatchGateError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { VERSION } from "../core/version.ts";
import type { Gate } from "../gate/gate.ts";
import { Ledger } from "../gate/ledger.ts";
import type { LedgerError } from "../ledger/errors.ts";
import { lockLedger } from "../ledger/lock.ts";
import { LedgerReader } from "../ledger/reader.ts";
import type { IdentitySource } from "../secrets/identity.ts";
import { anchorParties } from "./anchor-parties.ts";
import { Anchoring } from "./anchoring.ts";
import { openBorders } from "./borders.ts";
import { startChores } from "./chores.ts";
import { loadComponents } from "./components.ts";
import { checkpointRhythm, unsafeSettings } from "./evidence.ts";
import type { Front } from "./front/index.ts";
import { makeFront, openSockets, type Sockets, socketPaths } from "./listen.ts";
import { makeGate } from "./make-gate.ts";
import { Opened } from "./opened.ts";
import { policyFindings, readPolicy, reportFindings } from "./policy.ts";
import { projectPaths } from "./project-paths.ts";
import { readRegistry } from "./registry.ts";
import { openSandbox } from "./runners.ts";
import { stopGate } from "./stop.ts";
import { VerifyingKeysFile } from "./verifying-keys.ts";

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

/** What the writer thread tells, and who hears it: until somebody is served there is nobody to answer first. */
interface Listeners {
  fatal: (error: LedgerError) => void;
  anchoring: Anchoring | null;
}

/** Assembles a gate from its folder and listens. Anything that is not right keeps it from starting, with its code. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const opened = new Opened(options.report);
  try {
    return await assemble(options, opened);
  } catch (error) {
    await opened.closeAll();
    throw error;
  }
}

/** Stage by stage; each adds to `opened` what has to be closed when it, or one after it, fails. */
async function assemble(options: StartOptions, opened: Opened): Promise<RunningServer> {
  const { dir, config, report } = options;
  const at = projectPaths(dir);
  const lock = lockLedger(at.lock);
  opened.add(() => lock.release());
  // First of all: the runners start while this thread reads the catalogue.
  const runners = openSandbox(config, report);
  opened.addOpening(runners, (sandbox) => sandbox.close());
  const { registry, policy } = await readRules(options, at);
  const borders = openBorders(options, opened);
  const listeners: Listeners = { fatal: options.onFatal, anchoring: null };
  const opening = openLedger(options, at, listeners);
  opened.addOpening(opening, (ledger) => ledger.close());
  const [sandbox, ledger] = await Promise.all([runners, opening]);
  const components = await loadComponents(registry, at.providers, sandbox, config.sandbox.unsafe_unlocked);
  const reader = new LedgerReader(at.ledger, at.payloads);
  opened.add(() => reader.close());
  const gate = makeGate(options, at, { registry, policy, borders, sandbox, ledger, reader, components });
  const closedGrants = await recordStart(gate);
  const exported = new VerifyingKeysFile(gate, report);
  exported.refresh();
  const sockets = socketPaths(dir, config);
  const front = makeFront(gate, sockets, at.ledger, report);
  opened.add(() => front.close(0));
  await openSockets(front, sockets, config);
  const signers = anchorParties(gate, borders.parties, report);
  const anchoring =
    signers.length === 0 ? null : new Anchoring(signers, config.evidence.checkpoint_seconds * 1000, report);
  listeners.anchoring = anchoring;
  opened.add(() => anchoring?.close());
  const timers = startChores(gate, report, exported);
  listeners.fatal = (error) => endAtOnce(options, gate, front, timers, anchoring, error);
  return {
    gate,
    sockets,
    closedGrants,
    stop: async (reason) => {
      for (const timer of timers) clearInterval(timer);
      await stopGate(gate, front, lock, reason, anchoring);
      borders.secrets.close();
    },
  };
}

/** What is allowed: the catalogue and the policy over it. */
async function readRules({ config, report }: StartOptions, at: ReturnType<typeof projectPaths>) {
  const [registry, { engine: policy, data }] = await Promise.all([
    readRegistry(config, at.actions),
    readPolicy(at.policyData),
  ]);
  reportFindings(policyFindings(data, registry), report);
  return { registry, policy };
}

function openLedger(
  { dir, config }: StartOptions,
  at: ReturnType<typeof projectPaths>,
  listeners: Listeners,
): Promise<Ledger> {
  return Ledger.open({
    ledgerPath: at.ledger,
    payloadsPath: at.payloads,
    keysDir: at.keys,
    gateVersion: VERSION,
    groupLimit: config.ledger.group_limit,
    checkpoints: checkpointRhythm(dir, config),
    checkpointOverlapMs: config.evidence.checkpoint_overlap_s * 1000,
    onFailure: (error) => listeners.fatal(error),
    onCheckpoint: () => listeners.anchoring?.submit(),
  });
}

/** The first entry of this run. Gives how many grants of an earlier run it closed as indeterminate. */
async function recordStart(gate: Gate): Promise<number> {
  const { config, registry, policy } = gate;
  const { epoch, closed } = await gate.ledger.act("startGate", {
    gateVersion: VERSION,
    boundary: config.identity.principals[String(gate.uid)] === undefined ? "uid" : "same_uid",
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
  return closed;
}

/** Nothing can be written any more: what waits gets its 503, then the operator hears. */
function endAtOnce(
  { report, onFatal }: StartOptions,
  gate: Gate,
  front: Front,
  timers: readonly NodeJS.Timeout[],
  anchoring: Anchoring | null,
  error: LedgerError,
): void {
  gate.state.draining = true;
  for (const timer of timers) clearInterval(timer);
  void anchoring?.close();
  report(`the ledger can't be written any more: ${error.message}`);
  void front.close(1000).then(() => onFatal(error));
}
