import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { httpText } from "../actions/manifests.ts";
import { BINARY, type GateProcess, openPolicy, runBinary, startGate } from "../gate-process.ts";
import { freshKey, send, WireAgent } from "../wire-client.ts";

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

interface Place {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A folder of one's own with nothing in it, and a home for state. */
function emptyFolder(): Place {
  const scratch = mkdtempSync(join(tmpdir(), "serve-"));
  cleanup.push(() => rmSync(scratch, { recursive: true, force: true }));
  const cwd = join(scratch, "work");
  mkdirSync(cwd, { mode: 0o755 });
  return {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: scratch, XDG_STATE_HOME: join(scratch, "state") },
  };
}

async function started(setup: Parameters<typeof startGate>[0] = {}): Promise<GateProcess> {
  const gate = await startGate(setup);
  cleanup.push(() => gate[Symbol.asyncDispose]());
  return gate;
}

/** `serve` in a folder until it says that it serves; it is stopped at the end of the test. */
async function serveIn(place: Place): Promise<{ readonly first: string; stop(): Promise<number> }> {
  const child = Bun.spawn([BINARY, "serve", "--json"], {
    ...place,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stop = async () => {
    child.kill("SIGTERM");
    return child.exited;
  };
  cleanup.push(stop);
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`it ended: ${await new Response(child.stderr).text()}`);
    text += Buffer.from(value).toString();
  }
  return { first: text.split("\n")[0] ?? "", stop };
}

/** What `serve --json` says when it does not start. */
async function refusal(place: Place): Promise<{ code: string; message: string; hint?: string }> {
  const ended = await runBinary(["serve", "--json"], place);
  expect(ended.code).toBe(1);
  const line = (ended.stderr || ended.stdout).trim().split("\n").at(-1) ?? "";
  const { ok, error } = JSON.parse(line);
  expect(ok).toBe(false);
  return error;
}

/** A project that would start, changed before it does. */
async function changedProject(change: (dir: string) => void): Promise<Place> {
  const place = emptyFolder();
  const gate = await serveIn(place);
  expect(await gate.stop()).toBe(0);
  change(join(place.cwd, ".latchgate"));
  return place;
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    yield path;
    if (entry.isDirectory()) yield* filesBelow(path);
  }
}

describe("a first start", () => {
  test("makes a project that is private to its account, and says what it chose", async () => {
    const place = emptyFolder();
    const { first } = await serveIn(place);
    const dir = join(place.cwd, ".latchgate");
    expect(JSON.parse(first)).toMatchObject({
      ok: true,
      project: `${dir} (new)`,
      socket: join(dir, "runtime/gate.sock"),
      admin: join(dir, "runtime/gate-admin.sock"),
      boundary: expect.stringContaining("not a boundary"),
      principals: `uid:${process.getuid?.()}`,
      operators: "default",
    });
    expect(lstatSync(dir).mode & 0o777).toBe(0o700);
    const seen = [...filesBelow(dir)];
    for (const path of seen) {
      const stat = lstatSync(path);
      expect([path, (stat.mode & 0o777).toString(8)]).toEqual([path, stat.isDirectory() ? "700" : "600"]);
    }
    const names = seen.map((path) => path.slice(dir.length + 1));
    expect(names).toEqual(
      expect.arrayContaining([".gitignore", "latchgate.toml", "ledger.db", "ledger.lock", "payloads.db"]),
    );
    expect(names).toEqual(
      expect.arrayContaining(["runtime/gate.sock", "runtime/gate-admin.sock", "policies/data.json"]),
    );
    expect(readFileSync(join(dir, ".gitignore"), "utf8")).toBe("*\n");
    // The operator's key is the operator's, outside of what the gate reads.
    for (const path of filesBelow(join(place.env.XDG_STATE_HOME ?? "")))
      expect(lstatSync(path).mode & 0o077).toBe(0);
  });

  test.skipIf(Bun.which("git") === null)("is not committed by git", async () => {
    const place = emptyFolder();
    const gate = await serveIn(place);
    expect(await gate.stop()).toBe(0);
    const git = (...words: string[]) =>
      Bun.spawnSync(["git", ...words], { cwd: place.cwd, env: { ...place.env, GIT_CONFIG_NOSYSTEM: "1" } });
    writeFileSync(join(place.cwd, "README.md"), "# work\n");
    expect(git("init", "--quiet").exitCode).toBe(0);
    expect(git("add", "--all").exitCode).toBe(0);
    expect(git("ls-files").stdout.toString()).toBe("README.md\n");
    // And so it is still trusted.
    const again = await serveIn(place);
    expect(JSON.parse(again.first).project).toBe(join(place.cwd, ".latchgate"));
  });

  test("does not touch a project that is there", async () => {
    const place = emptyFolder();
    const gate = await serveIn(place);
    const banner = JSON.parse(gate.first);
    await gate.stop();
    const config = readFileSync(join(place.cwd, ".latchgate/latchgate.toml"), "utf8");
    const again = JSON.parse((await serveIn(place)).first);
    expect([again.fingerprint, again.ledger]).toEqual([banner.fingerprint, banner.ledger]);
    expect(readFileSync(join(place.cwd, ".latchgate/latchgate.toml"), "utf8")).toBe(config);
  });
});

describe("one gate for one ledger", () => {
  test("a second one says who holds it and ends, whatever its environment, and disturbs nothing", async () => {
    const gate = await started({ files: { "README.md": "x" } });
    const env = {
      ...gate.env,
      HOME: tmpdir(),
      LATCHGATE_LISTEN_CLIENT_SOCKET: join(gate.root, "other.sock"),
    };
    const error = await refusal({ cwd: gate.root, env });
    expect(error.code).toBe("ledger_locked");
    expect(error.message).toContain(`pid ${gate.pid}`);
    expect(existsSync(join(gate.root, "other.sock"))).toBe(false);
    const agent = await WireAgent.connect(gate.clientSocket);
    expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  });

  test("sockets that a killed gate left behind do not keep the next from starting", async () => {
    const gate = await started();
    await gate.kill();
    expect(existsSync(gate.clientSocket)).toBe(true);
    const again = await gate.restart();
    cleanup.push(() => again.kill());
    expect((await send(again.clientSocket, { method: "GET", path: "/healthz" })).body).toEqual({
      status: "ok",
    });
  });

  test("what is no socket at a socket's place is left alone, and the gate does not start", async () => {
    const place = await changedProject((dir) => writeFileSync(join(dir, "runtime/gate.sock"), "precious"));
    const error = await refusal(place);
    expect(error.message).toContain("not a socket");
    expect(readFileSync(join(place.cwd, ".latchgate/runtime/gate.sock"), "utf8")).toBe("precious");
  });
});

describe("a planted project folder gets nothing", () => {
  test("one that others can write", async () => {
    const place = await changedProject((dir) => chmodSync(dir, 0o777));
    expect((await refusal(place)).code).toBe("project_untrusted");
    expect(existsSync(join(place.cwd, ".latchgate/runtime/gate.sock"))).toBe(false);
  });

  test("a symbolic link", async () => {
    const elsewhere = await changedProject(() => undefined);
    const place = emptyFolder();
    symlinkSync(join(elsewhere.cwd, ".latchgate"), join(place.cwd, ".latchgate"));
    expect((await refusal(place)).code).toBe("project_untrusted");
  });

  test.skipIf(Bun.which("git") === null)("one that came with a clone", async () => {
    const place = await changedProject((dir) => rmSync(join(dir, ".gitignore")));
    const git = (...words: string[]) =>
      Bun.spawnSync(["git", ...words], { cwd: place.cwd, env: { ...place.env, GIT_CONFIG_NOSYSTEM: "1" } });
    expect(git("init", "--quiet").exitCode).toBe(0);
    expect(git("add", "--force", ".latchgate/latchgate.toml").exitCode).toBe(0);
    const error = await refusal(place);
    expect(error.code).toBe("project_untrusted");
    expect(error.message).toContain("git");
  });

  test("one further up is not passed over for a trusted one above it", async () => {
    const place = await changedProject(() => undefined);
    const below = join(place.cwd, "clone");
    mkdirSync(join(below, ".latchgate"), { recursive: true });
    chmodSync(join(below, ".latchgate"), 0o777);
    expect((await refusal({ ...place, cwd: below })).code).toBe("project_untrusted");
  });
});

describe("a gate does not start on what it can't read", () => {
  const config = (text: string) => changedProject((dir) => writeFileSync(join(dir, "latchgate.toml"), text));

  test.each([
    ["an unknown key", "[limits]\nbody_byte = 1\n", "config_invalid", "did you mean body_bytes"],
    ["an unknown table", "[ledgr]\ngroup_limit = 1\n", "config_invalid", "did you mean ledger"],
    ["a value of another type", '[sandbox]\nrunners = "two"\n', "config_invalid", "sandbox.runners"],
    ["a value out of bounds", "[lease]\nttl_s = 999999\n", "config_invalid", "lease.ttl_s"],
    ["text that is no toml", "[limits\n", "config_syntax", "latchgate.toml"],
    [
      "an egress entry to a public address",
      `[[egress.local]]\naction = "http_fetch"\nmethods = ["GET"]\npath_prefix = "/"\nhost = "a.example"\naddress = "8.8.8.8"\nport = 443\n`,
      "host_setup",
      "public",
    ],
    [
      "an egress entry with a method that is none",
      `[[egress.local]]\naction = "http_fetch"\nmethods = ["FETCH"]\npath_prefix = "/"\nhost = "a.example"\naddress = "127.0.0.1"\nport = 443\n`,
      "config_invalid",
      "FETCH",
    ],
    [
      "a group that does not exist",
      `[listen]\nclient_group = "no-such-group-here"\n`,
      "config_invalid",
      "no-such-group-here",
    ],
  ])("%s", async (_what, text, code, says) => {
    const error = await refusal(await config(text));
    expect(error.code).toBe(code);
    expect(error.message).toContain(says);
  });

  test.each([
    [
      "a manifest with a credential in a header",
      httpText({
        http: { method: "GET", url: "https://api.example.com/", headers: { authorization: "Bearer x" } },
        effects: ["http_read"],
        params: { type: "object" },
      }),
      "credential",
    ],
    ["a manifest with an unknown key", httpText({ egres: { hosts: [] } }), "did you mean egress"],
    ["a manifest with the id of a built-in action", httpText({ id: "http_fetch" }), "http_fetch"],
  ])("%s", async (_what, yaml, says) => {
    const place = await changedProject((dir) => writeFileSync(join(dir, "actions/own.yaml"), yaml));
    const error = await refusal(place);
    expect(error.message).toContain("own.yaml");
    expect(error.message).toContain(says);
  });

  test.each([
    [
      "policy data with an unknown member",
      '{"policy_version":"1","acls":{}}',
      "policy_data_invalid",
      "did you mean",
    ],
    [
      "policy data that gives the wildcard as an action",
      '{"policy_version":"1","acl":{"a":{"allowed_actions":["*"],"allowed_sinks":[]}}}',
      "policy_data_invalid",
      "wildcard",
    ],
    [
      "policy data with a duplicate member",
      '{"policy_version":"1","policy_version":"2","acl":{}}',
      "policy_data_invalid",
      "duplicate member",
    ],
  ])("%s", async (_what, text, code, says) => {
    const place = await changedProject((dir) => writeFileSync(join(dir, "policies/data.json"), text));
    const error = await refusal(place);
    expect(error.message).toContain(says);
    expect(error.code).toBe(code);
  });

  test("no policy data at all", async () => {
    const place = await changedProject((dir) => rmSync(join(dir, "policies/data.json")));
    expect((await refusal(place)).code).toBe("policy_data_missing");
  });

  test("a refused start leaves no socket and no lock behind", async () => {
    const place = await changedProject((dir) => writeFileSync(join(dir, "actions/own.yaml"), "id: [\n"));
    await refusal(place);
    expect(readdirSync(join(place.cwd, ".latchgate/runtime"))).toEqual([]);
    rmSync(join(place.cwd, ".latchgate/actions/own.yaml"));
    await serveIn(place);
  });
});

describe("who is connected is the kernel's word", () => {
  test("an account that nobody mapped gets no lease", async () => {
    const uid = process.getuid?.() ?? 0;
    const gate = await started({
      files: {
        ".latchgate/latchgate.toml": `[identity.principals.${uid + 1}]\nprincipal = "someone-else"\n`,
      },
    });
    const refused = await WireAgent.connect(gate.clientSocket).catch((error: Error) => error.message);
    expect(refused).toContain("403");
    expect(refused).toContain("identity_forbidden");
  });

  // Only root can become somebody else.
  test.skipIf(process.getuid?.() !== 0 || Bun.which("setpriv") === null)(
    "another account is itself, and the boundary between it and the gate is said",
    async () => {
      const meeting = mkdtempSync(join(tmpdir(), "meet-"));
      cleanup.push(() => rmSync(meeting, { recursive: true, force: true }));
      chmodSync(meeting, 0o755);
      const socket = join(meeting, "gate.sock");
      const gate = await started({
        policy: openPolicy("builder"),
        files: {
          "src/a.txt": "a",
          ".latchgate/latchgate.toml": `[listen]
client_socket = "${socket}"
client_mode = "0666"
[identity.principals.65533]
principal = "builder"
tenant = "team"
`,
        },
      });
      expect(gate.banner.boundary).toStartWith("uid:");
      const { jwk } = await freshKey();
      const body = JSON.stringify({ scopes: ["tools:call"], dpop_jwk: jwk });
      const script = `const { request } = require("node:http");
const r = request({ socketPath: ${JSON.stringify(socket)}, method: "POST", path: "/v1/leases" }, (a) => {
  let text = ""; a.on("data", (c) => (text += c)); a.on("end", () => console.log(text));
});
r.end(${JSON.stringify(body)});`;
      const runner = join(meeting, "bun");
      writeFileSync(runner, readFileSync(process.execPath), { mode: 0o755 });
      const child = Bun.spawnSync(["setpriv", "--reuid=65533", "--clear-groups", runner, "-e", script], {
        cwd: meeting,
        env: { HOME: meeting, PATH: "/usr/bin:/bin" },
      });
      const lease = JSON.parse(child.stdout.toString());
      const claims = JSON.parse(Buffer.from(lease.lease_jwt.split(".")[1], "base64url").toString());
      expect(claims.sub).toBe("builder");
      // The gate's own account is not mapped here, and gets nothing for being the gate's.
      const own = await WireAgent.connect(socket).catch((error: Error) => error.message);
      expect(own).toContain("identity_forbidden");
    },
  );
});
