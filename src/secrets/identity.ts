import { spawn } from "node:child_process";
import { realpath } from "node:fs/promises";
import { type Identities, isProtected, parseIdentities, unprotect } from "./age.ts";
import { unavailable } from "./errors.ts";
import { readGuarded } from "./private-file.ts";

/** Where the age identities come from when a version of the secrets file is opened. */
export interface IdentitySource {
  /** Throws `secrets_unavailable`; gives up when the signal does. */
  open(signal: AbortSignal): Promise<Identities>;
}

/** Longest output of an identity command, in bytes. */
const LONGEST_OUTPUT = 65_536;

/** What an identity command sees of the environment: enough to find a keyring or an agent, and none of our own. */
const PASSED_ON = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  "DBUS_SESSION_BUS_ADDRESS",
  "GNUPGHOME",
];

/** Identities that are known already: from the environment, or unlocked at start. */
export function fixedIdentities(identities: Identities): IdentitySource {
  return { open: () => Promise.resolve(identities) };
}

/**
 * An identity file by its real path, read anew for each version of the secrets file. Under a passphrase it can't be opened unattended:
 * see {@link unlockIdentityFile}.
 */
export function identityFile(path: string): IdentitySource {
  return {
    async open() {
      const bytes = await readIdentity(path);
      try {
        if (isProtected(bytes))
          throw unavailable(
            `the identity file ${path} is protected by a passphrase and was not unlocked at start`,
          );
        return await parseIdentities(bytes.toString("utf8"), `the identity file ${path}`);
      } finally {
        bytes.fill(0);
      }
    },
  };
}

/** Opens a protected identity file with a passphrase that somebody gives; null when the file is not protected. */
export async function unlockIdentityFile(
  path: string,
  passphrase: () => Promise<string>,
): Promise<Identities | null> {
  const from = `the identity file ${path}`;
  const bytes = await readIdentity(path);
  if (!isProtected(bytes)) {
    bytes.fill(0);
    return null;
  }
  return parseIdentities(await unprotect(bytes, await passphrase(), from), from);
}

/**
 * Where the path leads was looked at when configuration was loaded: a link that was put or completed since could lead
 * to an identity that nobody trusted this project with.
 */
async function readIdentity(path: string): Promise<Buffer> {
  const { bytes } = await readGuarded(path, "the identity file", true);
  const real = await realpath(path).catch(() => null);
  if (real === path) return bytes;
  bytes.fill(0);
  throw unavailable(
    `the identity file ${path} is reached through a link that was not there before, or has gone`,
    "start again",
  );
}

/**
 * A command that prints an identity file. It runs without a shell, without our environment and without a terminal, in
 * a process group that is killed as a whole when the signal gives up. What it says on stderr is dropped: it may be the key.
 */
export function identityCommand(argv: readonly string[], cwd: string): IdentitySource {
  const [program = "", ...args] = argv;
  const from = "the identity command";
  return {
    async open(signal) {
      const output = await run(program, args, cwd, signal);
      try {
        return await parseIdentities(output.toString("utf8"), from);
      } finally {
        output.fill(0);
      }
    },
  };
}

function run(program: string, args: readonly string[], cwd: string, signal: AbortSignal): Promise<Buffer> {
  const env = Object.fromEntries(
    PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "ignore"], detached: true });
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (outcome: () => void) => {
      signal.removeEventListener("abort", giveUp);
      if (child.exitCode === null && child.signalCode === null) killGroup(child.pid);
      child.stdout.destroy();
      outcome();
    };
    const giveUp = () => end(() => reject(unavailable("the identity command took too long")));
    signal.addEventListener("abort", giveUp, { once: true });
    child.on("error", () => end(() => reject(unavailable("the identity command cannot be started"))));
    child.stdout.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LONGEST_OUTPUT)
        end(() => reject(unavailable(`the identity command printed more than ${LONGEST_OUTPUT} bytes`)));
    });
    child.on("close", (code) => {
      const output = Buffer.concat(chunks);
      for (const chunk of chunks) chunk.fill(0);
      end(() => {
        if (code === 0) resolve(output);
        else reject(unavailable(`the identity command failed (exit ${code ?? "by a signal"})`));
      });
    });
    if (signal.aborted) giveUp();
  });
}

/** The command and what it started; `detached` made it the leader of a group. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ESRCH") throw cause;
  }
}
