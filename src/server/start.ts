import { readFileSync, realpathSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { builtinManifests, formatProblem, loadActions, type Registry } from "../actions/index.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import { LatchGateError, messageOf } from "../core/errors.ts";
import { uuidv7Maker } from "../core/ids.ts";
import { type Json, JsonError, parseJson } from "../core/json.ts";
import { HTTP_METHODS } from "../core/plan.ts";
import { selfCommand } from "../core/self.ts";
import { VERSION } from "../core/version.ts";
import type { Gate } from "../gate/gate.ts";
import { Ledger } from "../gate/ledger.ts";
import { RunningCalls } from "../gate/running.ts";
import { Shed } from "../gate/shed.ts";
import { createHost, type Host, type LocalEgress } from "../host/index.ts";
import {
  LeaseVerifier,
  OperatorDirectory,
  PrincipalDirectory,
  proofBase,
  ReplayStore,
} from "../identity/index.ts";
import { LedgerError } from "../ledger/errors.ts";
import { lockLedger } from "../ledger/lock.ts";
import { LedgerReader } from "../ledger/reader.ts";
import { defaultPolicyWasm } from "../policy/assets.ts";
import type { PolicyEngine } from "../policy/contract.ts";
import { loadPolicy } from "../policy/engine.ts";
import { createSandbox, type Sandbox } from "../sandbox/index.ts";
import { loadComponents } from "./components.ts";
import type { ServerContext } from "./context.ts";
import { createFront, type Front, HttpFault, RateLimiter } from "./front/index.ts";
import { currentLeaseSigner, leaseKeys } from "./keys.ts";
import { frontLimits, resolveGroup } from "./listeners.ts";
import { Router, serveRequest } from "./router.ts";
import { ROUTES } from "./routes/index.ts";

/** `start_failed` and the codes of the rooms: what kept the gate from starting. */
export class StartError extends LatchGateError {}

export interface StartOptions {
  /** The project folder, `.latchgate`. */
  readonly dir: string;
  readonly config: Config;
  /** One line for the operator about something that went wrong while serving. */
  readonly report: (line: string) => void;
  /** Called when the ledger can't be written any more and the gate has answered what it had. */
  readonly onFatal: (error: LatchGateError) => void;
}

export interface RunningServer {
  readonly gate: Gate;
  readonly sockets: { readonly client: string; readonly admin: string };
  /** Grants of an earlier run that were closed as indeterminate. */
  readonly closedGrants: number;
  /** Stops taking calls, lets those under way finish within the drain time, and signs a checkpoint. */
  stop(reason: string): Promise<void>;
}

/** Paths of a project folder. */
export function projectPaths(dir: string) {
  return {
    config: join(dir, "latchgate.toml"),
    ledger: join(dir, "ledger.db"),
    lock: join(dir, "ledger.lock"),
    payloads: join(dir, "payloads.db"),
    keys: join(dir, "keys"),
    actions: join(dir, "actions"),
    providers: join(dir, "providers"),
    policyData: join(dir, "policies", "data.json"),
  };
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
    { report, onFatal }: StartOptions,
    at: ReturnType<typeof projectPaths>,
    cleanup: (() => unknown)[],
  ): Promise<RunningServer> {
    const clock = systemClock;
    const [registry, policy] = await Promise.all([
      readRegistry(config, at.actions),
      readPolicy(at.policyData),
    ]);
    const fsRoot = realpathSync(resolve(dir, "..", config.fs.root));
    const host = openHost(config, dir, fsRoot);
    cleanup.push(() => host.close());
    let fatal: (error: LedgerError) => void = () => {};
    const ledgerOptions = {
      ledgerPath: at.ledger,
      payloadsPath: at.payloads,
      keysDir: at.keys,
      gateVersion: VERSION,
      groupLimit: config.ledger.group_limit,
      onFailure: (error: LedgerError) => fatal(error),
    };
    const [sandbox, ledger] = await Promise.all([openSandbox(config), Ledger.open(ledgerOptions)]);
    cleanup.push(
      () => sandbox.close(),
      () => ledger.close().catch((error: unknown) => report(messageOf(error))),
    );
    const components = await loadComponents(registry, at.providers, sandbox);
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
      operators: new OperatorDirectory(
        Object.entries(config.operators).map(([id, entry]) => ({
          id,
          thumbprint: entry.thumbprint,
          principals: entry.principals,
          ...(entry.token_sha256 === undefined ? {} : { token_sha256: entry.token_sha256 }),
          ...(entry.tenant === undefined ? {} : { tenant: entry.tenant }),
        })),
      ),
      principals: new PrincipalDirectory({
        allow_unmapped: config.identity.allow_unmapped,
        uids: Object.fromEntries(
          Object.entries(config.identity.principals).map(([id, entry]) => [
            id,
            {
              tenant: entry.tenant,
              scopes: entry.scopes,
              ...(entry.principal === undefined ? {} : { principal: entry.principal }),
              ...(entry.owner === undefined ? {} : { owner: entry.owner }),
              ...(entry.max_calls === undefined ? {} : { max_calls: entry.max_calls }),
            },
          ]),
        ),
      }),
      running: new RunningCalls(),
      shed: new Shed(clock.now, config.limits.denials_per_minute),
      fsRoot,
      keysDir: at.keys,
      localTargets: localTargets(config),
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
      unsafe: [],
    });
    gate.state.epoch = epoch;
    const sockets = {
      client: place(dir, config.listen.client_socket),
      admin: place(dir, config.listen.admin_socket),
    };
    const front = listenFront(gate, sockets, at.ledger, report);
    cleanup.push(() => front.close(0));
    await front.listen({
      label: "client",
      path: sockets.client,
      mode: Number.parseInt(config.listen.client_mode, 8),
      ...resolveGroup(config.listen.client_group),
    });
    await front.listen({
      label: "admin",
      path: sockets.admin,
      mode: Number.parseInt(config.listen.admin_mode, 8),
      ...resolveGroup(config.listen.admin_group),
    });
    const timers = startChores(gate, report);
    fatal = (error) => {
      gate.state.draining = true;
      for (const timer of timers) clearInterval(timer);
      report(`the ledger can't be written any more: ${error.message}`);
      // What waits gets its 503 first.
      void front.close(1000).then(() => onFatal(error));
    };
    return { gate, sockets, closedGrants: closed, stop: (reason) => stop(gate, front, timers, lock, reason) };
  }
}

async function readRegistry(config: Config, directory: string): Promise<Registry> {
  const { registry, problems } = await loadActions({
    builtins: builtinManifests(),
    directories: [{ path: directory, origin: "project" }],
    ...(config.actions.only === undefined ? {} : { only: config.actions.only }),
  });
  if (problems.length === 0) return registry;
  throw new StartError(problems[0]?.code ?? "manifest_invalid", problems.map(formatProblem).join("\n"), {
    hint: "correct the manifests; docs/actions.md describes the format",
  });
}

async function readPolicy(path: string): Promise<PolicyEngine> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new StartError("policy_data_missing", `cannot read ${path}`, {
      hint: "write who may do what into it; docs/policy.md describes the format",
      cause,
    });
  }
  let data: Json;
  try {
    data = parseJson(bytes, { bytes: 16_777_216, depth: 32 });
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new StartError("policy_data_invalid", `${path} is not usable json: ${cause.message}`, {
      hint: "docs/policy.md describes the format",
      cause,
    });
  }
  return loadPolicy({ wasm: await defaultPolicyWasm(), data });
}

function openHost(config: Config, dir: string, fsRoot: string): Host {
  const local: LocalEgress[] = config.egress.local.map((entry) => ({
    action: entry.action,
    methods: entry.methods.map((wanted) => {
      const method = HTTP_METHODS.find((known) => known === wanted);
      if (method === undefined)
        throw new StartError("config_invalid", `egress.local: ${wanted} is not a method`);
      return method;
    }),
    pathPrefix: entry.path_prefix,
    host: entry.host,
    address: entry.address,
    port: entry.port,
    caFile: entry.ca_file === undefined ? null : resolve(dir, entry.ca_file),
  }));
  return createHost({
    fsRoots: [...new Set([fsRoot, ...config.fs.allowed_roots.map((root) => realpathSync(root))])],
    localEgress: local,
    ...(config.egress.dns_servers.length === 0 ? {} : { nameServers: config.egress.dns_servers }),
  });
}

function localTargets(config: Config): Gate["localTargets"] {
  const byAction = new Map<string, { host: string; port: number }[]>();
  for (const { action, host, port } of config.egress.local)
    byAction.set(action, [...(byAction.get(action) ?? []), { host, port }]);
  return byAction;
}

function openSandbox(config: Config): Promise<Sandbox> {
  return createSandbox({
    runners: config.sandbox.runners,
    maxInFlight: config.sandbox.max_in_flight,
    queueLimit: config.sandbox.queue,
    self: selfCommand,
  });
}

function place(dir: string, path: string): string {
  return isAbsolute(path) ? path : join(dir, path);
}

function listenFront(
  gate: Gate,
  sockets: { readonly client: string; readonly admin: string },
  ledgerPath: string,
  report: (line: string) => void,
): Front {
  const { config, clock } = gate;
  const limiter = (rate: number) => new RateLimiter({ rate, burst: rate, keys: 10_000 }, clock);
  const context: ServerContext = {
    gate,
    bases: [...new Set([config.public_base_url, "http://localhost", "http://localhost:3000"])].map(proofBase),
    limiters: {
      peer: limiter(config.rate_limits.peer_rps),
      lease: limiter(config.rate_limits.lease_rps),
      session: limiter(config.rate_limits.execute_rps_per_session),
      operatorRead: limiter(config.rate_limits.operator_read_rps),
      operatorWrite: limiter(config.rate_limits.operator_write_rps),
    },
    version: VERSION,
    sockets,
    ledgerPath,
  };
  const router = new Router(ROUTES);
  return createFront({
    clock,
    limits: frontLimits(config),
    onRequest: async (request, response) => {
      try {
        await serveRequest(router, context, request, response);
      } catch (error) {
        if (!(error instanceof LedgerError) || error.code === "payload_missing") throw error;
        if (error.code === "ledger_damaged") {
          report(error.message);
          throw new HttpFault(500, "ledger_error", "what the ledger holds about this is damaged", {
            hint: "the operator runs latchgate verify",
            cause: error,
          });
        }
        throw new HttpFault(
          503,
          "store_unavailable",
          "the evidence could not be stored; the call's outcome is uncertain",
          {
            hint: "ask for its receipt, or repeat it with the same idempotency key, when the gate is back",
            cause: error,
          },
        );
      }
    },
    onError: (error) => report(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  });
}

const SWEEP_MS = 5_000;
const SUMMARY_MS = 60_000;

function startChores(gate: Gate, report: (line: string) => void): NodeJS.Timeout[] {
  const chore = (work: () => Promise<unknown>, everyMs: number) =>
    setInterval(() => void work().catch((error: unknown) => report(messageOf(error))), everyMs);
  return [
    chore(async () => gate.ledger.act("sweepState", null), SWEEP_MS),
    chore(() => flushShed(gate), SUMMARY_MS),
  ];
}

async function flushShed(gate: Gate): Promise<void> {
  const summary = gate.shed.take();
  if (summary !== null) await gate.ledger.act("summariseShed", summary);
}

/** How long a call that was cut off at the deadline has to tell its caller. */
const LAST_WORDS_MS = 1_000;

async function stop(
  gate: Gate,
  front: Front,
  timers: readonly NodeJS.Timeout[],
  lock: { release(): void },
  reason: string,
): Promise<void> {
  const drainMs = gate.config.limits.drain_s * 1000;
  gate.state.draining = true;
  for (const timer of timers) clearInterval(timer);
  const deadline = gate.clock.monotonic() + drainMs;
  const late = setTimeout(() => gate.running.stop("gate_stopping"), drainMs);
  // Meanwhile new calls are told that the gate is draining, and agents can still fetch what has ended.
  await gate.running.drained();
  await front.close(Math.max(LAST_WORDS_MS, deadline - gate.clock.monotonic()));
  // A call that was admitted before, and granted since.
  await gate.running.drained();
  clearTimeout(late);
  await gate.host.close();
  await gate.sandbox.close();
  await flushShed(gate);
  await gate.ledger.act("stopGate", { reason });
  gate.reader.close();
  await gate.ledger.close();
  lock.release();
}
