import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LatchGateError } from "../../src/core/errors.ts";
import type { SecretRequest } from "../../src/core/secrets.ts";
import { fixedIdentities, type IdentitySource, identityCommand } from "../../src/secrets/identity.ts";
import { createSecretSource, type OwnedSecretSource } from "../../src/secrets/source.ts";
import { type Given, IDENTITY, madeFile, SHARED, scratch, tenant } from "./secrets-files.ts";

const SECRETS: readonly Given[] = [
  { owner: SHARED, name: "TOKEN", value: "shared-token" },
  { owner: tenant("acme"), name: "KEY", value: "acme-key" },
];
const known = fixedIdentities([IDENTITY]);

let folder: ReturnType<typeof scratch>;
let text: string;
beforeAll(async () => {
  folder = scratch();
  text = await madeFile("secrets.yaml", SECRETS);
});
afterAll(() => folder[Symbol.dispose]());

function request(names: readonly string[], change: Partial<SecretRequest> = {}): SecretRequest {
  return { names, tenant: "acme", principal: "uid:1", signal: new AbortController().signal, ...change };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof LatchGateError) return error.code;
    throw error;
  }
  return "opened";
}

async function value(source: OwnedSecretSource, name: string): Promise<string> {
  const open = await source.open(request([name]));
  const read = Buffer.from(open.bytes(name)).toString("utf8");
  open.release();
  return read;
}

/** A source over a file of its own, and how often that file was checked. */
function counted(name: string, identity: IdentitySource = known, timeLimitMs = 60_000) {
  const path = folder.write(name, text);
  let checks = 0;
  const source = createSecretSource({
    file: path,
    identity,
    timeLimitMs,
    onChecked: () => {
      checks++;
    },
  });
  return { path, source, checks: () => checks };
}

describe("values", () => {
  test("are the bytes of what was asked for and nothing else", async () => {
    const { source } = counted("asked.yaml");
    const open = await source.open(request(["TOKEN"]));
    expect(Buffer.from(open.bytes("TOKEN")).toString()).toBe("shared-token");
    expect(() => open.bytes("KEY")).toThrow(TypeError);
  });

  test("are the same buffer until release, which overwrites it", async () => {
    const { source } = counted("released.yaml");
    const open = await source.open(request(["TOKEN", "KEY", "TOKEN"]));
    const buffers = [open.bytes("TOKEN"), open.bytes("KEY")];
    expect(open.bytes("TOKEN")).toBe(buffers[0] ?? new Uint8Array());
    open.release();
    for (const buffer of buffers) expect(buffer.every((byte) => byte === 0)).toBe(true);
    expect(() => open.bytes("TOKEN")).toThrow(TypeError);
    open.release();
  });

  test("are those of the file as it is when they are asked for, also while an older one is being checked", async () => {
    let opened = () => {};
    const waiting = new Promise<void>((resolve) => {
      opened = resolve;
    });
    let free = () => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    const slow: IdentitySource = {
      async open() {
        opened();
        await held;
        return [IDENTITY];
      },
    };
    const { path, source } = counted("overtaken.yaml", slow);
    const before = value(source, "TOKEN");
    await waiting;
    const next = folder.write(
      "overtaken.next.yaml",
      await madeFile("next.yaml", [{ owner: SHARED, name: "TOKEN", value: "replaced-token" }]),
    );
    renameSync(next, path);
    const after = value(source, "TOKEN");
    const missing = codeOf(source.open(request(["KEY"])));
    free();
    expect(["shared-token", "replaced-token"]).toContain(await before);
    expect([await after, await missing]).toEqual(["replaced-token", "secret_missing"]);
    rmSync(path);
    expect(await codeOf(source.open(request(["TOKEN"])))).toBe("secrets_unavailable");
  });

  test("of two calls are two buffers", async () => {
    const { source } = counted("apart.yaml");
    const [one, other] = await Promise.all([source.open(request(["KEY"])), source.open(request(["KEY"]))]);
    one.release();
    expect(Buffer.from(other.bytes("KEY")).toString()).toBe("acme-key");
  });

  test("are all there or none is opened", async () => {
    const { source } = counted("missing.yaml");
    expect(await codeOf(source.open(request(["TOKEN", "NOT_THERE"])))).toBe("secret_missing");
    expect(await codeOf(source.open(request(["__proto__"])))).toBe("secret_missing");
    expect(await codeOf(source.open(request(["tenants"])))).toBe("secret_missing");
  });
});

describe("a version of the file", () => {
  test("loses its key once another is in its place, or the source is closed", async () => {
    const { path, source } = counted("keys.yaml");
    const keyNow = () => (Reflect.get(source, "version") as { readonly dataKey: Uint8Array }).dataKey;
    await value(source, "KEY");
    const first = keyNow();
    expect(first.some((byte) => byte !== 0)).toBe(true);
    const next = await madeFile("secrets.yaml", [{ owner: tenant("acme"), name: "KEY", value: "acme-next" }]);
    renameSync(folder.write("keys.new.yaml", next), path);
    await value(source, "KEY");
    const second = keyNow();
    expect([first.every((byte) => byte === 0), second.every((byte) => byte === 0)]).toEqual([true, false]);
    source.close();
    expect(second.every((byte) => byte === 0)).toBe(true);
  });

  test("is checked once for a hundred calls at the same time, and for all later ones", async () => {
    const { source, checks } = counted("flight.yaml");
    const all = await Promise.all(Array.from({ length: 100 }, () => value(source, "KEY")));
    expect(new Set(all)).toEqual(new Set(["acme-key"]));
    expect(await value(source, "TOKEN")).toBe("shared-token");
    expect(checks()).toBe(1);
  });

  test("is replaced by the next one without a restart", async () => {
    const { path, source, checks } = counted("reload.yaml");
    expect(await value(source, "KEY")).toBe("acme-key");
    const fresh = folder.write(
      "reload.new.yaml",
      await madeFile("secrets.yaml", [{ owner: tenant("acme"), name: "KEY", value: "acme-next" }]),
    );
    renameSync(fresh, path);
    expect(await value(source, "KEY")).toBe("acme-next");
    expect(await codeOf(source.open(request(["TOKEN"])))).toBe("secret_missing");
    expect(checks()).toBe(2);
  });

  test("that only looks new is not checked again", async () => {
    const { path, source, checks } = counted("touched.yaml");
    await value(source, "KEY");
    utimesSync(path, new Date(0), new Date(0));
    expect(await value(source, "KEY")).toBe("acme-key");
    expect(checks()).toBe(1);
  });

  test("that is damaged serves nobody, is looked at once, and the next good one serves again", async () => {
    const { path, source, checks } = counted("damaged.yaml");
    await value(source, "KEY");
    writeFileSync(path, text.replace(/(KEY: ENC\[AES256_GCM,data:)./, "$1+"));
    for (let i = 0; i < 3; i++) expect(await codeOf(source.open(request(["TOKEN"])))).toBe("secrets_damaged");
    expect(checks()).toBe(2);
    writeFileSync(path, text);
    expect(await value(source, "KEY")).toBe("acme-key");
  });

  test("that goes away serves nobody, and one that comes is served", async () => {
    const { path, source } = counted("gone.yaml");
    await value(source, "KEY");
    rmSync(path);
    expect(await codeOf(source.open(request(["KEY"])))).toBe("secrets_unavailable");
    folder.write("gone.yaml", text);
    expect(await value(source, "KEY")).toBe("acme-key");
  });

  test("changing under many readers gives each an old value or a new one", async () => {
    const { path, source } = counted("busy.yaml");
    const next = await madeFile("secrets.yaml", [{ owner: tenant("acme"), name: "KEY", value: "acme-next" }]);
    for (let round = 0; round < 10; round++) {
      const readers = Array.from({ length: 20 }, () => value(source, "KEY"));
      renameSync(folder.write("busy.new.yaml", round % 2 === 0 ? next : text), path);
      for (const read of await Promise.all([...readers, value(source, "KEY")]))
        expect(["acme-key", "acme-next"]).toContain(read);
    }
  });
});

describe("a file is not taken", () => {
  test.each([
    ["its group can write it", 0o660],
    ["everybody can write it", 0o606],
  ])("when %s", async (_what, mode) => {
    const { path, source } = counted(`mode-${mode}.yaml`);
    chmodSync(path, mode);
    expect(await codeOf(source.open(request(["KEY"])))).toBe("secrets_unavailable");
  });

  test("when it is a link, a folder, a pipe, too long, or of no known kind", async () => {
    const open = (file: string) =>
      codeOf(createSecretSource({ file, identity: known }).open(request(["KEY"])));
    const link = join(folder.dir, "link.yaml");
    symlinkSync(folder.write("target.yaml", text), link);
    expect(await open(link)).toBe("secrets_unavailable");
    expect(await open(folder.dir)).toBe("secrets_unavailable");
    const pipe = join(folder.dir, "pipe.yaml");
    Bun.spawnSync(["mkfifo", "-m", "600", pipe]);
    expect(await open(pipe)).toBe("secrets_unavailable");
    expect(await open(folder.write("long.yaml", `# ${"x".repeat(1_048_576)}\n${text}`))).toBe(
      "secrets_unavailable",
    );
    expect(await open(folder.write("secrets.ini", text))).toBe("secrets_unavailable");
    expect(await open(folder.write("not-utf8.yaml", text).replace("not-utf8", "nowhere"))).toBe(
      "secrets_unavailable",
    );
    expect(await open(folder.write("empty.yaml", ""))).toBe("secrets_damaged");
  });

  test("when no identity opens it", async () => {
    const { source } = counted("stranger.yaml", fixedIdentities([]));
    expect(await codeOf(source.open(request(["KEY"])))).toBe("secrets_unavailable");
  });
});

describe("time", () => {
  test("is not waited for by a call that is cancelled, and the check goes on for the others", async () => {
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const { source, checks } = counted("cancelled.yaml", {
      open: async () => {
        await gate;
        return [IDENTITY];
      },
    });
    const leaving = new AbortController();
    const left = codeOf(source.open(request(["KEY"], { signal: leaving.signal })));
    const stays = value(source, "KEY");
    leaving.abort();
    expect(await left).toBe("cancelled");
    letGo();
    expect(await stays).toBe("acme-key");
    expect(checks()).toBe(1);
    expect(await codeOf(source.open(request(["KEY"], { signal: leaving.signal })))).toBe("cancelled");
  });

  test("of a slow command ends at the limit; meanwhile the loop turns, and the command does not outlive it", async () => {
    const pids = join(folder.dir, "pids");
    const command = identityCommand(
      ["/bin/sh", "-c", `echo $$ >> ${pids}; sleep 600 & echo $! >> ${pids}; wait`],
      folder.dir,
    );
    const { source } = counted("slow.yaml", command, 1500);
    let turns = 0;
    const turning = setInterval(() => turns++, 5);
    const codes = await Promise.all([1, 2, 3].map(() => codeOf(source.open(request(["KEY"])))));
    clearInterval(turning);
    expect(codes).toEqual(Array(3).fill("secrets_unavailable"));
    // A blocked loop would have turned once.
    expect(turns).toBeGreaterThan(5);
    const started = readFileSync(pids, "utf8").trim().split("\n").map(Number);
    expect(started.length).toBeGreaterThan(0);
    for (const pid of started) await ended(pid);
  });

  test("after close there is nothing to be had", async () => {
    const { source } = counted("closed.yaml");
    await value(source, "KEY");
    source.close();
    expect(await codeOf(source.open(request(["KEY"])))).toBe("secrets_unavailable");
  });
});

/** Resolves when a process is gone or only waits to be reaped. */
async function ended(pid: number): Promise<void> {
  for (;;) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    } catch {
      return;
    }
    if (/\) [ZX] /.test(stat)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
