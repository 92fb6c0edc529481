import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProject } from "../../src/commands/first-start.ts";
import { generateIdentity, recipientOf } from "../../src/secrets/age.ts";
import { newFile } from "../../src/secrets/edit.ts";
import { BINARY, runBinary } from "../gate-process.ts";

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

/**
 * A folder that somebody else made, with a secrets file that is encrypted for the user; and the user, who has the
 * identity in a file of theirs and in a variable.
 */
class HostileFolder {
  readonly scratch = realpathSync(mkdtempSync(join(tmpdir(), "hostile-folder-")));
  readonly root = join(this.scratch, "project");
  readonly dir = join(this.root, ".latchgate");
  /** The user's own, outside the folder. */
  readonly home = join(this.scratch, "age");
  readonly keys = join(this.home, "keys.txt");
  readonly env: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    HOME: this.scratch,
    XDG_STATE_HOME: join(this.scratch, "state"),
  };
  private config = "";

  static async make(): Promise<HostileFolder> {
    const made = new HostileFolder();
    chmodSync(made.scratch, 0o700);
    for (const dir of [made.root, made.env.XDG_STATE_HOME ?? "", made.home]) mkdirSync(dir, { mode: 0o700 });
    createProject(made.dir, join(made.scratch, "state/latchgate"));
    made.config = readFileSync(join(made.dir, "latchgate.toml"), "utf8");
    const identity = await generateIdentity();
    writeFileSync(made.keys, `${identity}\n`, { mode: 0o600 });
    made.env.USERS_KEY = identity;
    const file = join(made.dir, "secrets.enc.yaml");
    writeFileSync(file, await newFile(file, [(await recipientOf(identity)) ?? ""], Date.now()), {
      mode: 0o600,
    });
    return made;
  }

  configure(setting: string): void {
    writeFileSync(join(this.dir, "latchgate.toml"), `${this.config}\n[secrets]\n${setting}\n`);
  }

  run(...words: readonly string[]) {
    return runBinary([...words, "--json"], { cwd: this.root, env: this.env, stdin: "x" });
  }

  async failure(...words: readonly string[]): Promise<Failure["error"]> {
    const { code, stderr } = await this.run(...words);
    expect(code).not.toBe(0);
    return (JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "") as Failure).error;
  }

  async done(...words: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.run(...words);
    if (code !== 0) throw new Error(`${words.join(" ")}: ${code} ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** What a doctor says of trust. */
  async doctor(): Promise<{ level: string; code: string; hint: string | null } | undefined> {
    const { stdout } = await this.run("doctor");
    const { checks } = JSON.parse(stdout) as { checks: { check: string; level: string; code: string }[] };
    return checks.find(({ check }) => check === "trust") as never;
  }

  /** Starts a gate, and stops it once it serves; its exit code, and what it said on stderr. */
  async served(): Promise<{ code: number; stderr: string }> {
    const gate = Bun.spawn([BINARY, "serve", "--json"], {
      cwd: this.root,
      env: this.env,
      stdout: "pipe",
      stderr: "pipe",
    });
    try {
      await gate.stdout.getReader().read();
    } finally {
      gate.kill("SIGTERM");
    }
    return { code: await gate.exited, stderr: await new Response(gate.stderr).text() };
  }
}

const folders: HostileFolder[] = [];
async function hostile(): Promise<HostileFolder> {
  const made = await HostileFolder.make();
  folders.push(made);
  return made;
}
afterAll(() => {
  for (const { scratch } of folders) rmSync(scratch, { recursive: true, force: true });
});

/** How a folder can name what is the user's; each with what `trust` then shows. */
const WAYS: readonly (readonly [
  name: string,
  lay: (here: HostileFolder) => { readonly setting: string; readonly identity: Record<string, string> },
])[] = [
  [
    "a variable",
    () => ({
      setting: 'identity_env = "USERS_KEY"',
      identity: { setting: "secrets.identity_env", variable: "USERS_KEY" },
    }),
  ],
  ["an absolute path", (here) => named(here, here.keys)],
  ["a path that climbs out", (here) => named(here, "../../age/keys.txt")],
  [
    "a link to the file",
    (here) => {
      symlinkSync("../../age/keys.txt", join(here.dir, "link.txt"));
      return named(here, "link.txt");
    },
  ],
  [
    "a link in the place of the default file",
    (here) => {
      symlinkSync("../../age/keys.txt", join(here.dir, "secrets-identity.txt"));
      return named(here, "secrets-identity.txt");
    },
  ],
  [
    "a link to the folder of the file",
    (here) => {
      symlinkSync("../../age", join(here.dir, "inner"));
      return named(here, "inner/keys.txt");
    },
  ],
  [
    "a neighbour whose name begins as the folder's",
    (here) => {
      mkdirSync(`${here.dir}-age`, { mode: 0o700 });
      writeFileSync(`${here.dir}-age/keys.txt`, readFileSync(here.keys), { mode: 0o600 });
      return named(here, "../.latchgate-age/keys.txt", `${here.dir}-age/keys.txt`);
    },
  ],
];

function named(here: HostileFolder, path: string, real = here.keys) {
  return {
    setting: `identity_file = ${JSON.stringify(path)}`,
    identity: { setting: "secrets.identity_file", path: real },
  };
}

describe("an identity from outside the project folder, named by", () => {
  test.each(WAYS)("%s, opens nothing before it is trusted", async (_name, lay) => {
    const here = await hostile();
    const { setting, identity } = lay(here);
    here.configure(setting);

    for (const words of [["serve"], ["secrets", "get", "X"], ["secrets", "set", "X"], ["secrets", "init"]]) {
      const { code, message, hint } = await here.failure(...words);
      expect([words, code]).toEqual([words, "config_untrusted"]);
      expect(message).toContain(identity.setting ?? "");
      expect(hint).toContain("latchgate trust");
    }
    expect((await here.failure("trust")).code).toBe("usage");
    expect((await here.failure("secrets", "get", "X")).code).toBe("config_untrusted");

    expect(await here.done("trust", "--yes")).toEqual({ ok: true, commands: [], identities: [identity] });
    await here.done("secrets", "set", "X");
    expect(await here.done("secrets", "get", "X", "--reveal")).toMatchObject({ value: "x" });
    expect(await here.served()).toEqual({ code: 0, stderr: expect.not.stringContaining("secrets:") });
  });
});

test("a doctor tells what was not trusted, and that it was", async () => {
  const here = await hostile();
  expect(await here.doctor()).toMatchObject({ level: "ok" });
  here.configure('identity_env = "USERS_KEY"');
  expect(await here.doctor()).toMatchObject({
    level: "error",
    code: "config_untrusted",
    hint: expect.stringContaining("latchgate trust"),
  });
  await here.done("trust", "--yes");
  expect(await here.doctor()).toMatchObject({ level: "ok" });
});

test("trust in one identity is none in another", async () => {
  const here = await hostile();
  here.env.OTHER_KEY = here.env.USERS_KEY ?? "";
  writeFileSync(join(here.home, "other.txt"), readFileSync(here.keys), { mode: 0o600 });
  const ways = [
    'identity_env = "USERS_KEY"',
    'identity_env = "OTHER_KEY"',
    `identity_file = ${JSON.stringify(here.keys)}`,
    'identity_file = "../../age/other.txt"',
  ];
  for (const trusted of ways) {
    here.configure(trusted);
    await here.done("trust", "--yes");
    for (const other of ways.filter((way) => way !== trusted)) {
      here.configure(other);
      expect((await here.failure("secrets", "set", "X")).code).toBe("config_untrusted");
    }
    here.configure(trusted);
    await here.done("secrets", "set", "X");
  }
});

test("a link that was trusted and leads elsewhere since is not", async () => {
  const here = await hostile();
  writeFileSync(join(here.home, "other.txt"), readFileSync(here.keys), { mode: 0o600 });
  const link = join(here.dir, "link.txt");
  symlinkSync(here.keys, link);
  here.configure('identity_file = "link.txt"');
  await here.done("trust", "--yes");
  await here.done("secrets", "set", "X");
  rmSync(link);
  symlinkSync(join(here.home, "other.txt"), link);
  expect((await here.failure("secrets", "get", "X")).code).toBe("config_untrusted");
});

test("init puts no identity outside the folder that was not trusted", async () => {
  const here = await hostile();
  rmSync(join(here.dir, "secrets.enc.yaml"));
  const path = join(here.home, "new.txt");
  here.configure(`identity_file = ${JSON.stringify(path)}`);
  expect(await here.failure("secrets", "init")).toMatchObject({
    code: "config_untrusted",
    hint: expect.stringContaining("in a folder of your own, run latchgate trust"),
  });
  expect(existsSync(path)).toBe(false);
  await here.done("trust", "--yes");
  expect(await here.done("secrets", "init")).toMatchObject({ identity_file: path });
  await here.done("secrets", "set", "X");
});

test("the folder's own identity needs no trust, in a folder within it and through a link that stays within", async () => {
  const here = await hostile();
  mkdirSync(join(here.dir, "inner"), { mode: 0o700 });
  renameSync(here.keys, join(here.dir, "inner/keys.txt"));
  symlinkSync("inner/keys.txt", join(here.dir, "link.txt"));
  for (const path of ["inner/keys.txt", "link.txt"]) {
    here.configure(`identity_file = "${path}"`);
    await here.done("secrets", "set", "X");
  }
});
