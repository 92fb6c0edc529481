import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProject } from "../../src/commands/first-start.ts";
import { loadConfig } from "../../src/config/load.ts";
import { lockLedger } from "../../src/ledger/lock.ts";
import { identityFile } from "../../src/secrets/identity.ts";
import { projectPaths } from "../../src/server/project-paths.ts";
import { type RunningServer, startServer } from "../../src/server/start.ts";
import { until } from "../sandbox/laboratory.ts";

const scratch: string[] = [];
afterEach(() => {
  for (const folder of scratch.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Project {
  readonly root: string;
  readonly dir: string;
  readonly reported: string[];
}

function project(): Project {
  const root = mkdtempSync(join(tmpdir(), "start-"));
  scratch.push(root);
  const dir = join(root, "project/.latchgate");
  mkdirSync(join(root, "project"));
  createProject(dir, join(root, "state"));
  return { root, dir, reported: [] };
}

/** In this process, which a start that fails does not end: what it leaves behind can be seen. */
function start({ dir, reported }: Project): Promise<RunningServer> {
  return startServer({
    dir,
    config: loadConfig(projectPaths(dir).config, {}),
    identity: identityFile(join(dir, "secrets-identity.txt")),
    report: (line) => reported.push(line),
    log: () => Promise.resolve(),
    onFatal: (error) => reported.push(error.message),
  });
}

function configure({ dir }: Project, text: string): void {
  appendFileSync(projectPaths(dir).config, `\n${text}\n`);
}

/** Processes that this one has started and that have not been waited for. */
function children(): readonly string[] {
  return readdirSync("/proc/self/task").flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, "latin1").split(" ").filter(Boolean),
  );
}

/**
 * Files of the project that this process has open, databases and file roots among them. A writer that has failed keeps
 * the payloads' log, which is deleted by then: a sync of it may be under way.
 */
function openFiles({ root }: Project): readonly string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(root) && !path.endsWith(" (deleted)") ? [path] : [];
    } catch {
      return []; // the descriptor of this very look
    }
  });
}

async function expectNothingLeft(place: Project): Promise<void> {
  expect(readdirSync(join(place.dir, "runtime"))).toEqual([]);
  expect(children()).toEqual([]);
  // The end of a thread, and with it of its databases, is not told.
  await until(() => openFiles(place).length === 0);
  lockLedger(projectPaths(place.dir).lock).release();
}

const OWN_MANIFEST = (provider: string) => `apiVersion: latchgate/v1
id: own
version: 1.0.0
summary: Ask
risk: { level: low }
effects: [http_read]
provider: "${provider}"
params: { type: object, properties: {} }
http: { method: GET, url: "https://api.example.com/" }
egress: { hosts: [{ host: api.example.com, methods: [GET] }] }
verify: { kind: http }
`;

/** One for each stage, in their order, with what keeps it from succeeding. */
const STAGES: readonly (readonly [stage: string, code: string, prepare: (place: Project) => unknown])[] = [
  [
    "the catalogue",
    "manifest_invalid",
    ({ dir }) => writeFileSync(join(dir, "actions/own.yaml"), "apiVersion: latchgate/v1\nid: own\n"),
  ],
  [
    "the policy's data",
    "policy_data_invalid",
    ({ dir }) => writeFileSync(join(dir, "policies/data.json"), "{}"),
  ],
  ["the file roots", "ENOENT", (place) => configure(place, '[fs]\nroot = "nowhere"')],
  [
    "the connections",
    "config_invalid",
    (place) =>
      configure(
        place,
        '[[connections.database]]\nname = "a"\nengine = "postgresql"\nhost = "db.example.com"\ndatabase = "a"\nuser = "a"\nca_file = "nowhere.pem"',
      ),
  ],
  [
    "the brokers, after the first root is open",
    "host_setup",
    (place) => configure(place, '[fs]\nallowed_roots = ["/usr"]'),
  ],
  ["the parties of checkpoints", "config_invalid", (place) => configure(place, "[evidence]\nquorum = 1")],
  [
    "the mirrors",
    "start_failed",
    (place) => configure(place, `[[evidence.mirrors]]\npath = "${join(place.root, "nowhere/mirror")}"`),
  ],
  [
    "the ledger",
    "ledger_failed",
    ({ dir }) => writeFileSync(projectPaths(dir).ledger, "not a database ".repeat(100)),
  ],
  [
    "the components",
    "component_missing",
    ({ dir }) => writeFileSync(join(dir, "actions/own.yaml"), OWN_MANIFEST(`sha256:${"0".repeat(64)}`)),
  ],
  [
    "the first entry",
    "ledger_failed",
    async (place) => {
      await (await start(place)).stop("test");
      using db = new Database(projectPaths(place.dir).ledger);
      db.run("CREATE TRIGGER no BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no room'); END");
    },
  ],
  [
    "the second socket, when the first is open",
    "socket_path_occupied",
    (place) => {
      writeFileSync(join(place.root, "taken"), "");
      configure(place, `[listen]\nadmin_socket = "${join(place.root, "taken")}"`);
    },
  ],
];

test.each(STAGES)("a start that fails at %s leaves nothing behind", async (_stage, code, prepare) => {
  const place = project();
  await prepare(place);
  const error = await start(place).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  await expectNothingLeft(place);
});

test("a start beside a gate that runs leaves that one alone", async () => {
  const place = project();
  const running = await start(place);
  const before = children().length;
  await expect(start(place)).rejects.toMatchObject({ code: "ledger_locked" });
  expect(children().length).toBe(before);
  expect(readdirSync(join(place.dir, "runtime")).length).toBe(2);
  await running.stop("test");
  await expectNothingLeft(place);
});
