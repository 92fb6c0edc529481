import { afterEach, beforeEach, describe, expect, test } from "bun:test";
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
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFront, type Front } from "../../../src/server/front/index.ts";

let root = "";
let fronts: Front[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sock-"));
});
afterEach(async () => {
  for (const front of fronts) await front.close(0);
  fronts = [];
  rmSync(root, { recursive: true, force: true });
});

function newFront(): Front {
  const front = createFront({ onRequest: (_request, response) => response.empty(204), onError: () => {} });
  fronts.push(front);
  return front;
}

async function listen(path: string, mode = 0o600, gid?: number): Promise<Front> {
  const front = newFront();
  await front.listen({ path, mode, label: "client", ...(gid === undefined ? {} : { gid }) });
  return front;
}

async function codeOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => "listening",
    (error: { code: unknown }) => error.code,
  );
}

function reachable(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** A socket file whose listener has died without removing it. */
async function leaveStale(path: string): Promise<void> {
  const program = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  await Bun.spawn([process.execPath, "-e", program, path], { env: {} }).exited;
  if (!lstatSync(path).isSocket()) throw new Error("no socket was left behind");
}

describe("the socket", () => {
  test.each([0o600, 0o660, 0o666])("has mode %o whatever the umask", async (mode) => {
    const before = process.umask(0o077);
    try {
      await listen(join(root, "gate.sock"), mode);
    } finally {
      process.umask(before);
    }
    expect(lstatSync(join(root, "gate.sock")).mode & 0o777).toBe(mode);
  });

  test("belongs to the group that was asked for", async () => {
    const gid = process.getgid?.() ?? 0;
    await listen(join(root, "gate.sock"), 0o660, gid);
    expect(lstatSync(join(root, "gate.sock")).gid).toBe(gid);
  });

  test("leaves nothing else in its folder, while open and after", async () => {
    const front = await listen(join(root, "gate.sock"));
    expect(readdirSync(root)).toEqual(["gate.sock"]);
    expect(await reachable(join(root, "gate.sock"))).toBe(true);
    await front.close(0);
    expect(readdirSync(root)).toEqual([]);
  });

  test("is not removed at the end when another has taken its place", async () => {
    const path = join(root, "gate.sock");
    const front = await listen(path);
    rmSync(path);
    await listen(path);
    await front.close(0);
    expect(await reachable(path)).toBe(true);
  });

  test("several may be open at once", async () => {
    const front = await listen(join(root, "gate.sock"));
    await front.listen({ path: join(root, "gate-admin.sock"), mode: 0o600, label: "admin" });
    expect(readdirSync(root).sort()).toEqual(["gate-admin.sock", "gate.sock"]);
  });
});

describe("what is at the path already", () => {
  test("a socket nobody listens on is replaced", async () => {
    const path = join(root, "gate.sock");
    await leaveStale(path);
    await listen(path);
    expect(await reachable(path)).toBe(true);
  });

  test("a socket somebody listens on stays, and stays in use", async () => {
    const path = join(root, "gate.sock");
    await listen(path);
    expect(await codeOf(listen(path))).toBe("socket_in_use");
    expect(await reachable(path)).toBe(true);
    expect(readdirSync(root)).toEqual(["gate.sock"]);
  });

  test("a file stays as it is", async () => {
    const path = join(root, "gate.sock");
    writeFileSync(path, "mine");
    expect(await codeOf(listen(path))).toBe("socket_path_occupied");
    expect(readFileSync(path, "utf8")).toBe("mine");
  });

  test("a folder and a link stay, also a link to a stale socket", async () => {
    mkdirSync(join(root, "folder"));
    expect(await codeOf(listen(join(root, "folder")))).toBe("socket_path_occupied");
    await leaveStale(join(root, "stale"));
    symlinkSync(join(root, "stale"), join(root, "link"));
    expect(await codeOf(listen(join(root, "link")))).toBe("socket_path_occupied");
    symlinkSync(join(root, "nowhere"), join(root, "dangling"));
    expect(await codeOf(listen(join(root, "dangling")))).toBe("socket_path_occupied");
    expect(existsSync(join(root, "stale"))).toBe(true);
  });
});

describe("the folder", () => {
  test("is made for its owner alone", async () => {
    await listen(join(root, "a", "b", "gate.sock"));
    for (const folder of [join(root, "a"), join(root, "a", "b")])
      expect(lstatSync(folder).mode & 0o777).toBe(0o700);
  });

  test.each([0o777, 0o1777, 0o770, 0o702])("with mode %o is refused", async (mode) => {
    const folder = join(root, "folder");
    mkdirSync(folder);
    chmodSync(folder, mode);
    expect(await codeOf(listen(join(folder, "gate.sock")))).toBe("socket_dir_insecure");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("may be readable by others", async () => {
    const folder = join(root, "folder");
    mkdirSync(folder);
    chmodSync(folder, 0o755);
    expect(await codeOf(listen(join(folder, "gate.sock")))).toBe("listening");
  });

  test("that is a link or a file is refused", async () => {
    mkdirSync(join(root, "real"), { mode: 0o700 });
    symlinkSync(join(root, "real"), join(root, "link"));
    expect(await codeOf(listen(join(root, "link", "gate.sock")))).toBe("socket_dir_insecure");
    writeFileSync(join(root, "file"), "");
    expect(await codeOf(listen(join(root, "file", "gate.sock")))).toBe("socket_dir_insecure");
  });
});

test("a path too long for a socket is refused before anything is made", async () => {
  expect(await codeOf(listen(join(root, "x".repeat(100), "gate.sock")))).toBe("socket_path_too_long");
  expect(readdirSync(root)).toEqual([]);
});
