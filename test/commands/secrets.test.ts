import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProject } from "../../src/commands/first-start.ts";
import { generateIdentity, recipientOf } from "../../src/secrets/age.ts";
import { BINARY, runBinary } from "../gate-process.ts";
import { quicklyProtected } from "../secrets/secrets-files.ts";

/** The code of the failure that a command told with `--json`, after whatever it noted. */
function codeIn(stderr: string): string {
  const last = stderr.trimEnd().split("\n").at(-1) ?? "";
  return (JSON.parse(last) as { error: { code: string } }).error.code;
}

/** A project of its own, and the binary run in it. */
class Place {
  readonly scratch = mkdtempSync(join(tmpdir(), "secrets-cli-"));
  readonly root = join(this.scratch, "project");
  readonly dir = join(this.root, ".latchgate");
  readonly file = join(this.dir, "secrets.enc.yaml");
  readonly identity = join(this.dir, "secrets-identity.txt");
  readonly env: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    HOME: this.scratch,
    XDG_STATE_HOME: join(this.scratch, "state"),
  };

  constructor(config = "") {
    chmodSync(this.scratch, 0o700);
    mkdirSync(this.root, { mode: 0o700 });
    mkdirSync(join(this.scratch, "state"), { mode: 0o700 });
    createProject(this.dir, join(this.scratch, "state/latchgate"));
    const toml = join(this.dir, "latchgate.toml");
    writeFileSync(toml, `${readFileSync(toml, "utf8")}\n${config}\n`);
  }

  run(words: readonly string[], stdin?: string, cwd = this.root) {
    return runBinary(words, { cwd, env: this.env, ...(stdin === undefined ? {} : { stdin }) });
  }

  /** As {@link run}, and it must go well. */
  async done(words: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(words, stdin);
    if (code !== 0) throw new Error(`${words.join(" ")}: ${code} ${stderr}`);
    return stdout;
  }

  /** Runs the binary on a terminal, answering each question as it comes up. */
  async onTerminal(
    words: readonly string[],
    answers: readonly (readonly [question: string, answer: string])[],
  ): Promise<{ code: number; screen: string }> {
    let screen = "";
    let next = 0;
    const child = Bun.spawn([BINARY, ...words], {
      cwd: this.root,
      env: { ...this.env, TERM: "xterm" },
      terminal: {
        data(terminal, chunk) {
          screen += Buffer.from(chunk).toString("utf8");
          const due = answers[next];
          if (due === undefined || !screen.includes(due[0])) return;
          next++;
          terminal.write(due[1]);
        },
      },
    });
    const code = await child.exited;
    child.terminal?.close();
    return { code, screen };
  }

  async json(words: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.done([...words, "--json"]));
  }
}

const places: Place[] = [];
function place(config?: string): Place {
  const made = new Place(config);
  places.push(made);
  return made;
}
afterAll(() => {
  for (const { scratch } of places) rmSync(scratch, { recursive: true, force: true });
});

describe("a project's secrets", () => {
  let here: Place;
  beforeAll(async () => {
    here = place();
    await here.done(["secrets", "init"]);
  });

  test("are made for their owner alone", () => {
    for (const path of [here.file, here.identity]) expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("are not made twice", async () => {
    const before = readFileSync(here.file, "utf8");
    const { code, stderr } = await here.run(["secrets", "init"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("secrets_exist")]);
    expect(readFileSync(here.file, "utf8")).toBe(before);
  });

  test("come from stdin without the newline of the line, or from a file to the byte", async () => {
    await here.done(["secrets", "set", "PIPED"], "from a pipe\n");
    expect(await here.done(["secrets", "get", "PIPED", "--reveal"])).toBe("from a pipe");
    const path = join(here.scratch, "value.pem");
    writeFileSync(path, "line one\nline two\n");
    await here.done(["secrets", "set", "FILED", "--from-file", path]);
    expect(await here.done(["secrets", "get", "FILED", "--reveal"])).toBe("line one\nline two\n");
    expect(statSync(here.file).mode & 0o777).toBe(0o600);
  });

  test("are to the character what was given, however often they are given back", async () => {
    const pem = `-----BEGIN PRIVATE KEY-----\n${"MIGHAgEAMBMGByqGSM49\n".repeat(3)}-----END PRIVATE KEY-----\n`;
    const awkward = [
      '"',
      "'",
      "\\",
      'say "hi" \\ \\n \\"',
      "a: b # c",
      "- x\n- y",
      "{{ x }}",
      "%s$HOME`id`",
      pem,
    ];
    const path = join(here.scratch, "awkward");
    for (const value of awkward) {
      let given = value;
      for (let round = 0; round < 2; round++) {
        writeFileSync(path, given);
        await here.done(["secrets", "set", "AWKWARD", "--from-file", path]);
        given = await here.done(["secrets", "get", "AWKWARD", "--reveal"]);
      }
      expect(given).toBe(value);
    }
  });

  test("are those of the project wherever in it the command runs", async () => {
    const below = join(here.root, "src/deep");
    mkdirSync(below, { recursive: true });
    writeFileSync(join(below, "value"), "from below");
    const { code } = await here.run(["secrets", "set", "BELOW", "--from-file", "value"], undefined, below);
    expect(code).toBe(0);
    expect(await here.done(["secrets", "get", "BELOW", "--reveal"])).toBe("from below");
    expect(readdirSync(below)).toEqual(["value"]);
    expect(
      readdirSync(here.dir)
        .filter((name) => name.startsWith("secrets"))
        .sort(),
    ).toEqual(["secrets-identity.txt", "secrets.enc.yaml", "secrets.enc.yaml.lock"]);
  });

  test("are changed in one step: who has the old file open has all of it", async () => {
    const kept = join(here.scratch, "kept.yaml");
    linkSync(here.file, kept);
    const before = readFileSync(kept, "utf8");
    for (const words of [
      ["set", "STEP"],
      ["remove", "STEP"],
      ["rotate", "--yes"],
    ]) {
      await here.done(["secrets", ...words], "in one step");
      expect(readFileSync(kept, "utf8")).toBe(before);
      expect(statSync(here.file).nlink).toBe(1);
    }
    rmSync(kept);
  });

  test("have no way in by the command line", async () => {
    const { code, stderr } = await here.run(["secrets", "set", "NAME", "hunter2-in-argv"]);
    expect(code).toBe(2);
    expect(stderr).toContain("unexpected argument");
  });

  test("are shown only when asked to be revealed", async () => {
    await here.done(["secrets", "set", "HIDDEN"], "do-not-show-me");
    for (const words of [
      ["get", "HIDDEN"],
      ["get", "HIDDEN", "--json"],
      ["list"],
      ["list", "--json"],
      ["rotate", "--yes"],
    ]) {
      const { stdout, stderr } = await here.run(["secrets", ...words]);
      expect(stdout + stderr).not.toContain("do-not-show-me");
    }
    expect(readFileSync(here.file, "utf8")).not.toContain("do-not-show-me");
    expect(await here.json(["secrets", "get", "HIDDEN", "--reveal"])).toMatchObject({
      value: "do-not-show-me",
    });
  });

  test.each([
    ["a name in lower case", ["set", "token"], "x", "secret_name", 1],
    ["a name with a dash", ["set", "A-B"], "x", "secret_name", 1],
    ["a name of the layout", ["set", "tenants"], "x", "secret_name", 1],
    ["a name too long", ["set", "A".repeat(65)], "x", "secret_name", 1],
    ["no value", ["set", "EMPTY"], "\n", "secret_value", 1],
    ["a value with a zero byte", ["set", "ZERO"], "a\0b", "secret_value", 1],
    ["a value too long", ["set", "LONG"], "x".repeat(65_537), "secret_value", 1],
    ["a secret that is not there", ["get", "NOT_THERE"], "", "secret_missing", 3],
    ["the removal of one that is not there", ["remove", "NOT_THERE"], "", "secret_missing", 3],
    ["a principal and everybody", ["set", "X", "--shared", "--principal", "uid:1"], "x", "usage", 2],
    ["a tenant with a colon", ["set", "X", "--tenant", "a:b"], "x", "usage", 2],
    ["a recipient that is none", ["rotate", "--recipient", "age1nothing"], "", "usage", 2],
    ["a rotation that nobody confirmed", ["rotate"], "", "usage", 2],
  ] as const)("refuse %s", async (_what, words, stdin, code, exit) => {
    const before = readFileSync(here.file, "utf8");
    const result = await here.run(["secrets", ...words, "--json"], stdin);
    expect([result.code, codeIn(result.stderr)]).toEqual([exit, code]);
    expect(readFileSync(here.file, "utf8")).toBe(before);
  });

  test("belong to the only tenant, to one that is named, to a principal, or to all", async () => {
    await here.done(["secrets", "set", "OWNED"], "default");
    await here.done(["secrets", "set", "OWNED", "--shared"], "shared");
    await here.done(["secrets", "set", "OWNED", "--tenant", "acme"], "acme");
    await here.done(["secrets", "set", "OWNED", "--tenant", "acme", "--principal", "uid:7"], "seven");
    const { secrets } = (await here.json(["secrets", "list"])) as { secrets: { name: string }[] };
    const owned = secrets.filter(({ name }) => name === "OWNED");
    expect(owned).toHaveLength(4);
    expect(owned).toContainEqual({ name: "OWNED", tenant: "acme", principal: "uid:7" } as never);
    expect(await here.done(["secrets", "get", "OWNED", "--tenant", "acme", "--reveal"])).toBe("acme");
    await here.done(["secrets", "remove", "OWNED", "--tenant", "acme", "--principal", "uid:7"]);
    expect(await here.done(["secrets", "get", "OWNED", "--reveal"])).toBe("default");
    expect(
      (await here.run(["secrets", "get", "OWNED", "--tenant", "acme", "--principal", "uid:7"])).code,
    ).toBe(3);
  });

  test("set at the same time are all there", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `PARALLEL_${i}`);
    await Promise.all(names.map((name) => here.done(["secrets", "set", name], name)));
    for (const name of names) expect(await here.done(["secrets", "get", name, "--reveal"])).toBe(name);
  });

  test("are for the recipients that rotation leaves, never for none of ours", async () => {
    const other = (await recipientOf(await generateIdentity())) ?? "";
    const before = (await here.json(["secrets", "list"])) as { recipients: string[] };
    await here.done(["secrets", "rotate", "--yes", "--recipient", other]);
    expect(await here.json(["secrets", "list"])).toMatchObject({ recipients: [...before.recipients, other] });
    const locked = await here.run([
      "secrets",
      "rotate",
      "--yes",
      "--without",
      before.recipients[0] ?? "",
      "--json",
    ]);
    expect(codeIn(locked.stderr)).toBe("secrets_unsupported");
    await here.done(["secrets", "rotate", "--yes", "--without", other]);
    expect(await here.json(["secrets", "list"])).toMatchObject({ recipients: before.recipients });
  });

  test("that were tampered with are not changed", async () => {
    const good = readFileSync(here.file, "utf8");
    const bad = good.replace("unencrypted_suffix: _unencrypted", "unencrypted_suffix: D");
    expect(bad).not.toBe(good);
    writeFileSync(here.file, bad);
    const { stderr } = await here.run(["secrets", "set", "X", "--json"], "x");
    expect(codeIn(stderr)).toBe("secrets_damaged");
    expect(readFileSync(here.file, "utf8")).toBe(bad);
    writeFileSync(here.file, good);
  });
});

describe("what is no secrets file is refused without a word of it, and stays as it is", () => {
  const PLAIN = "plain-s3cr3t";
  const made = new Map<string, Place>();
  test.each([
    ["a lone quote", "yaml", '"'],
    ["a quote that does not end", "yaml", `TOKEN: "${PLAIN}`],
    ["a file that was never encrypted", "yaml", `TOKEN: ${PLAIN}\n`],
    [
      "a value over several lines, unquoted",
      "yaml",
      `TOKEN: -----BEGIN KEY-----\n${PLAIN}\n-----END KEY-----\n`,
    ],
    ["tabs", "yaml", `a:\n\tTOKEN: ${PLAIN}\n`],
    ["a flow map that does not end", "yaml", `{TOKEN: ${PLAIN}`],
    ["a list", "yaml", `- ${PLAIN}\n`],
    ["a text alone", "yaml", `${PLAIN}\n`],
    ["JSON that does not end", "json", `{"TOKEN": "${PLAIN}`],
    ["JSON that was never encrypted", "json", `{"TOKEN": "${PLAIN}"}`],
    ["a dotenv file that was never encrypted", "env", `TOKEN=${PLAIN}\n`],
    ["a line that is no assignment", "env", `${PLAIN}\n`],
  ])("%s", async (_what, ending, text) => {
    const here = made.get(ending) ?? place(`[secrets]\nfile = "secrets.${ending}"`);
    if (!made.has(ending)) await here.done(["secrets", "init"]);
    made.set(ending, here);
    const file = join(here.dir, `secrets.${ending}`);
    writeFileSync(file, text);
    for (const words of [["list"], ["get", "TOKEN", "--shared", "--reveal"], ["set", "TOKEN", "--shared"]]) {
      const { code, stdout, stderr } = await here.run(["secrets", ...words, "--json"], "x");
      expect([code, codeIn(stderr)]).toEqual([1, "secrets_damaged"]);
      expect(stdout + stderr).not.toContain(PLAIN);
    }
    expect(readFileSync(file, "utf8")).toBe(text);
  });
});

test("with several tenants a secret's owner is not guessed", async () => {
  const here = place('[identity.principals.4242]\ntenant = "acme"');
  await here.done(["secrets", "init"]);
  expect((await here.run(["secrets", "set", "X"], "x")).code).toBe(2);
  await here.done(["secrets", "set", "X", "--tenant", "acme"], "x");
});

test("a dotenv file holds what all share", async () => {
  const here = place('[secrets]\nfile = "secrets.env"');
  await here.done(["secrets", "init"]);
  const { stderr } = await here.run(["secrets", "set", "X", "--json"], "x");
  expect(codeIn(stderr)).toBe("secrets_unsupported");
  await here.done(["secrets", "set", "X", "--shared"], "x");
  expect(await here.done(["secrets", "get", "X", "--shared", "--reveal"])).toBe("x");
});

test("on a terminal the passphrase and the value are asked for, and neither is shown", async () => {
  const here = place();
  await here.done(["secrets", "init"]);
  const plain = readFileSync(here.identity, "utf8");
  writeFileSync(here.identity, await quicklyProtected(plain, "correct horse"));
  const { code, screen } = await here.onTerminal(
    ["secrets", "set", "TYPED"],
    [
      ["passphrase for", "correct horse\r"],
      ["value of TYPED", "typed-value\r"],
    ],
  );
  expect([code, screen]).toEqual([0, expect.stringContaining("TYPED is set")]);
  expect(screen).not.toContain("horse");
  expect(screen).not.toContain("typed-value");
  writeFileSync(here.identity, plain);
  expect(await here.done(["secrets", "get", "TYPED", "--reveal"])).toBe("typed-value");
});

describe("the identity", () => {
  test("comes from a variable that is named", async () => {
    const here = place('[secrets]\nidentity_env = "MY_AGE_KEY"');
    here.env.MY_AGE_KEY = await generateIdentity();
    await here.done(["trust", "--yes"]);
    await here.done(["secrets", "init"]);
    expect(existsSync(here.identity)).toBe(false);
    await here.done(["secrets", "set", "X"], "x");
    here.env.MY_AGE_KEY = `${here.env.MY_AGE_KEY}X`;
    const { stderr } = await here.run(["secrets", "get", "X"]);
    expect(stderr).toContain("secrets_unavailable");
    expect(stderr).not.toContain("AGE-SECRET-KEY");
  });

  test("under a passphrase opens with the one from a descriptor", async () => {
    const here = place();
    await here.done(["secrets", "init"]);
    await here.done(["secrets", "set", "X"], "x");
    writeFileSync(
      here.identity,
      await quicklyProtected(readFileSync(here.identity, "utf8"), "correct horse"),
    );
    const get = async (passphrase: string) => {
      const words = ["secrets", "get", "X", "--reveal", "--identity-passphrase-fd", "0"];
      return here.run(words, `${passphrase}\n`);
    };
    expect(await get("correct horse")).toMatchObject({ code: 0, stdout: "x" });
    expect((await get("wrong horse")).stderr).toContain("secrets_unavailable");
    expect((await here.run(["secrets", "get", "X"])).stderr).toContain("--identity-passphrase-fd");
  });

  test("under a passphrase lets a gate start that is given it, and open its secrets", async () => {
    const here = place();
    await here.done(["secrets", "init"]);
    writeFileSync(
      here.identity,
      await quicklyProtected(readFileSync(here.identity, "utf8"), "correct horse"),
    );
    const gate = Bun.spawn([BINARY, "serve", "--json", "--identity-passphrase-fd", "0"], {
      cwd: here.root,
      env: here.env,
      stdin: Buffer.from("correct horse\n"),
      stdout: "pipe",
      stderr: "pipe",
    });
    try {
      const { value } = await gate.stdout.getReader().read();
      expect(JSON.parse(new TextDecoder().decode(value))).toMatchObject({ ok: true });
    } finally {
      gate.kill("SIGTERM");
    }
    expect(await gate.exited).toBe(0);
    expect(await new Response(gate.stderr).text()).not.toContain("secrets:");
  });

  test("under a passphrase keeps a gate from starting without it", async () => {
    const here = place();
    await here.done(["secrets", "init"]);
    writeFileSync(
      here.identity,
      await quicklyProtected(readFileSync(here.identity, "utf8"), "correct horse"),
    );
    const { code, stderr } = await here.run(["serve", "--json"]);
    expect([code, codeIn(stderr)]).toEqual([1, "secrets_unavailable"]);
  });
});

describe("a command for the identity", () => {
  const program = (here: Place, text: string) => {
    const path = join(here.scratch, "identity.sh");
    writeFileSync(path, `#!/bin/sh\ntouch ${join(here.scratch, "ran")}\necho ${text}\n`, { mode: 0o700 });
    return path;
  };
  const configured = (here: Place, argv: readonly string[]) => {
    const toml = join(here.dir, "latchgate.toml");
    const kept = readFileSync(toml, "utf8").split("[secrets]")[0] ?? "";
    writeFileSync(toml, `${kept}[secrets]\nidentity_command = ${JSON.stringify(argv)}\n`);
  };

  test("runs only after it was trusted, and a changed one only after it was trusted again", async () => {
    const here = place();
    const path = program(here, await generateIdentity());
    configured(here, [path]);
    const ran = () => existsSync(join(here.scratch, "ran"));
    const codeOf = async (words: readonly string[]) =>
      codeIn((await here.run([...words, "--json"], "x")).stderr);

    expect(await codeOf(["serve"])).toBe("config_untrusted");
    expect(await codeOf(["secrets", "init"])).toBe("config_untrusted");
    expect(await codeOf(["trust"])).toBe("usage");
    expect(ran()).toBe(false);

    await here.done(["trust", "--yes"]);
    await here.done(["secrets", "init"]);
    expect(ran()).toBe(true);
    await here.done(["secrets", "set", "X"], "x");

    rmSync(join(here.scratch, "ran"));
    configured(here, [path, "--other"]);
    expect(await codeOf(["secrets", "get", "X"])).toBe("config_untrusted");
    expect(ran()).toBe(false);
    // The record is the account's own: another account has trusted nothing.
    configured(here, [path]);
    here.env.XDG_STATE_HOME = join(here.scratch, "another");
    expect(await codeOf(["secrets", "get", "X"])).toBe("config_untrusted");
    expect(ran()).toBe(false);
  });

  test("is not trusted for another folder by the same words", async () => {
    const [one, other] = [place(), place()];
    const path = program(one, await generateIdentity());
    for (const here of [one, other]) configured(here, [path]);
    other.env.XDG_STATE_HOME = one.env.XDG_STATE_HOME ?? "";
    await one.done(["trust", "--yes"]);
    const { stderr } = await other.run(["secrets", "init", "--json"]);
    expect(codeIn(stderr)).toBe("config_untrusted");
  });

  test("is an absolute path", async () => {
    const here = place('[secrets]\nidentity_command = ["pass", "show"]');
    const { stderr } = await here.run(["secrets", "list", "--json"]);
    expect(codeIn(stderr)).toBe("config_invalid");
  });
});

test("nothing configured to be trusted is said so", async () => {
  expect(await place().json(["trust"])).toEqual({ ok: true, commands: [], identities: [] });
});
