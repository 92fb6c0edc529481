/**
 * The main job, for real, in a scratch folder: a gate on its defaults, an allowed call, a denied one, one that a human
 * approves, a key rotation, and an auditor who checks the ledger before and after somebody changed one byte of it.
 * Prints each command as a user would type it. Ends with exit 0, or with what failed.
 */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issue, makeAuthority } from "../test/certificates.ts";

const BINARY = join(import.meta.dir, "../dist/latchgate");
const scratch = mkdtempSync(join(tmpdir(), "latchgate-demo-"));
const project = join(scratch, "project");
const env = { PATH: process.env.PATH ?? "", HOME: scratch, XDG_STATE_HOME: join(scratch, "state") };

class DemoFailure extends Error {}

function expectThat(truth: boolean, what: string): void {
  if (!truth) throw new DemoFailure(what);
}

function say(text: string): void {
  console.log(`\n# ${text}`);
}

function quote(word: string): string {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function collect(child: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<Ran> {
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

function spawn(words: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([BINARY, ...words], {
    cwd: project,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

function show({ code, stdout, stderr }: Ran): void {
  for (const text of [stdout, stderr]) if (text.trim() !== "") console.log(text.trimEnd());
  console.log(`[exit ${code}]`);
}

/** Runs one command, shows it and what came back, and checks its exit code. */
async function latchgate(words: readonly string[], expected: number | readonly number[]): Promise<Ran> {
  console.log(`\n$ latchgate ${words.map(quote).join(" ")}`);
  const ran = await collect(spawn(words));
  show(ran);
  expectThat(
    [expected].flat().includes(ran.code),
    `expected exit ${[expected].flat().join(" or ")}, got ${ran.code}`,
  );
  return ran;
}

/** Starts the gate and waits for its banner. */
async function serve(): Promise<{ stop(): Promise<void>; banner: string }> {
  console.log("\n$ latchgate serve");
  const child = Bun.spawn([BINARY, "serve"], {
    cwd: project,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let banner = "";
  while (!banner.includes("latchgate execute")) {
    const { done, value } = await reader.read();
    if (done) throw new DemoFailure("the gate did not start");
    banner += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  console.log(banner.trimEnd());
  return {
    banner,
    stop: async () => {
      child.kill("SIGTERM");
      expectThat((await child.exited) === 0, "the gate did not stop cleanly");
    },
  };
}

/** A real HTTPS service on loopback with a certificate of its own authority. */
async function startService(): Promise<{ port: number; requests: string[]; stop(): void }> {
  const authority = makeAuthority("Demo authority");
  const identity = issue(authority, { names: ["status.example.test"] });
  writeFileSync(join(scratch, "demo-ca.pem"), authority.certificate);
  const requests: string[] = [];
  const server = createServer({ cert: identity.cert, key: identity.key }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ service: "status", state: "green" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port, // listening on tcp
    requests,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function main(): Promise<void> {
  mkdirSync(join(project, "src"), { recursive: true, mode: 0o700 });
  writeFileSync(join(project, "README.md"), "# A project\n\nAn agent works here, through the gate.\n");
  writeFileSync(join(project, "src/app.txt"), "version 1\n");
  const service = await startService();

  say("an operator starts a gate: one command, no questions");
  const first = await serve();
  const fingerprint = /fingerprint:\s+(\S+)/.exec(first.banner)?.[1] ?? "";

  say("an agent reads a file through it");
  const read = await latchgate(["execute", "fs_read", "path=README.md"], 0);
  expectThat(read.stdout.includes("An agent works here"), "the file's text is missing");

  say("the operator opens one local https service to one action, and starts the gate again");
  await first.stop();
  const entry = `
[[egress.local]]
action = "http_fetch"
methods = ["GET"]
path_prefix = "/v1"
host = "status.example.test"
address = "127.0.0.1"
port = ${service.port}
ca_file = "${join(scratch, "demo-ca.pem")}"
`;
  console.log(entry);
  appendFileSync(join(project, ".latchgate/latchgate.toml"), entry);
  const second = await serve();

  say("allowed: policy says yes, the gate makes the request, the host's own observation confirms it");
  const url = `https://status.example.test:${service.port}/v1/status`;
  const fetched = await latchgate(["execute", "http_fetch", `url=${url}`], 0);
  expectThat(fetched.stdout.includes("green"), "the service's answer is missing");
  expectThat(service.requests.length === 1, "the service did not get exactly one request");

  say("denied: this principal may not delete files");
  await latchgate(["execute", "fs_delete", "path=src/app.txt"], 4);

  say("held: a write is risky, so it waits for a human, who sees exactly what will happen");
  console.log("\n$ latchgate execute fs_write path=src/app.txt 'content=version 2' --wait=30 &");
  const waiting = collect(
    spawn(["execute", "fs_write", "path=src/app.txt", "content=version 2", "--wait=30"]),
  );
  const approvalId = await pendingApproval();
  await latchgate(["approvals", "show", approvalId], 0);
  expectThat(
    readFileSync(join(project, "src/app.txt"), "utf8") === "version 1\n",
    "the file changed too early",
  );
  await latchgate(["approvals", "approve", approvalId, "--yes"], 0);
  say("and the agent's waiting command gets the result");
  const written = await waiting;
  show(written);
  expectThat(written.code === 0, `expected exit 0, got ${written.code}`);
  expectThat(readFileSync(join(project, "src/app.txt"), "utf8") === "version 2", "the file did not change");

  say("the evidence key is replaced while the gate runs; the log records it, signed by the old key");
  await latchgate(["rotate-keys"], 0);
  await latchgate(["execute", "fs_read", "path=src/app.txt"], 0);

  say("an auditor checks the ledger, with nothing but the file and the fingerprint noted at the start");
  await second.stop();
  const ledger = ".latchgate/ledger.db";
  const intact = await latchgate(["verify", ledger, "--trust", fingerprint], 0);
  expectThat(intact.stdout.startsWith("intact"), "the verdict is not intact");

  say("somebody changes one byte of a receipt in a copy");
  const position = flipOneByte(join(project, ledger), join(project, "copy.db"));
  console.log(`\n(byte ${position} of copy.db flipped)`);
  const damaged = await latchgate(["verify", "copy.db", "--trust", fingerprint], [10, 11]);
  expectThat(damaged.stdout.startsWith("damaged"), "the change was not found");
  service.stop();
  console.log("\nthe demo ran to its end");
}

/** The id of the one held call, once the gate has it. */
async function pendingApproval(): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const listed = await collect(spawn(["approvals", "list", "--json"]));
    const id = /"approval_id":"([0-9a-f-]{36})"/.exec(listed.stdout)?.[1];
    if (id !== undefined) {
      console.log("\n$ latchgate approvals list");
      show(await collect(spawn(["approvals", "list"])));
      return id;
    }
  }
  throw new DemoFailure("no call is held");
}

/** Flips the lowest bit of one character in the middle of the last receipt's JWS. */
function flipOneByte(from: string, to: string): number {
  copyFileSync(from, to);
  const bytes = readFileSync(to);
  const start = Buffer.from('{"alg":"EdDSA","kid":"').toString("base64url").slice(0, -2);
  const at = bytes.lastIndexOf(start) + 400;
  expectThat(at > 400, "no entry found in the file");
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(to, bytes);
  return at;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof DemoFailure)) throw error;
  console.error(`\nthe demo failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exit();
