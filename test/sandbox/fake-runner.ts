// A runner that lies, in the way that FAKE_RUNNER says. It speaks the protocol as far as the lie needs.
import { encodeFrame, FRAME, FrameReader } from "../../src/sandbox/protocol/frame.ts";
import { encodeHello, PROTOCOL_VERSION } from "../../src/sandbox/protocol/message.ts";
import { encodeValue, WireWriter } from "../../src/sandbox/protocol/value.ts";
import { WORLD_FUNCTIONS } from "../../src/sandbox/wit/world.ts";

const lie = process.env.FAKE_RUNNER ?? "";
const version = lie === "other version" ? PROTOCOL_VERSION + 1 : PROTOCOL_VERSION;
const greeting = encodeHello({ version, missing: [] });
if (lie === "unknown layer") greeting[7] = 1;
const hello = encodeFrame(FRAME.hello, 0, greeting);

/** A host call as an honest runner would send it. */
function asking(name: string, value: Parameters<typeof encodeValue>[1]): Uint8Array {
  const index = WORLD_FUNCTIONS.findIndex((declared) => declared.name === name);
  const param = WORLD_FUNCTIONS[index]?.params[0];
  if (param === undefined) throw new Error(`no function ${name}`);
  const to = new WireWriter();
  to.u8(index);
  encodeValue(param, value, to);
  return to.done();
}

const request = asking("io-http.request", {
  method: "GET",
  url: "https://a.example/",
  headers: [],
  body: null,
  timeoutMs: 0,
});
const OK = Buffer.concat([use(1), Buffer.from('\0{"ok":true}')]);

/** What a call used: fuel (u64), pages (u32). */
function use(fuel: number, pages = 1): Uint8Array {
  const to = new WireWriter();
  to.u64(fuel);
  to.u32(pages);
  return to.done();
}

/** What is sent when a call arrives. */
function lies(call: number): readonly Uint8Array[] {
  switch (lie) {
    case "noise":
      return [Uint8Array.from({ length: 64 }, (_, index) => (index * 37) & 0xff)];
    case "unknown kind":
      return [encodeFrame(99, call)];
    case "frame of the gate":
      return [encodeFrame(FRAME.answer, call)];
    case "other call":
      return [encodeFrame(FRAME.returned, call + 1, OK)];
    case "two answers":
      return [encodeFrame(FRAME.returned, call, OK), encodeFrame(FRAME.returned, call, OK)];
    case "second hello":
      return [hello];
    case "unasked cancelled":
      return [encodeFrame(FRAME.cancelled, call)];
    case "endless frame":
      return [Uint8Array.from([0xff, 0xff, 0xff, 0xff, FRAME.returned, call, 0, 0, 0])];
    case "asks and never reads":
      unread = call;
      return [encodeFrame(FRAME.hostCall, call, request)];
    case "many small frames": {
      // Valid to the last, but one byte at a time.
      const line = encodeFrame(FRAME.log, call, Buffer.from("\0line"));
      return [...Array.from({ length: 8 }, () => line), encodeFrame(FRAME.returned, call, OK)];
    }
    case "fatal after hello":
      return [encodeFrame(FRAME.fatal, 0, Buffer.from("\0gone"))];
    case "answers before it is asked":
      return [encodeFrame(FRAME.returned, call, OK), encodeFrame(FRAME.returned, call + 1, OK)];
    case "two host calls":
      return [encodeFrame(FRAME.hostCall, call, request), encodeFrame(FRAME.hostCall, call, request)];
    case "foreign host call":
      return [encodeFrame(FRAME.hostCall, call, asking("io-fs.delete", { path: "a" }))];
    case "unserved host call":
      return [encodeFrame(FRAME.hostCall, call, Uint8Array.of(4))];
    case "broken host call":
      return [encodeFrame(FRAME.hostCall, call, request.subarray(0, request.byteLength - 1))];
    case "log flood":
      return Array.from({ length: 300 }, () => encodeFrame(FRAME.log, call, Buffer.from("\0line")));
    case "long log":
      return [encodeFrame(FRAME.log, call, new Uint8Array(5000))];
    case "broken end":
      return [encodeFrame(FRAME.ended, call, Buffer.concat([use(1), Uint8Array.of(77, 0)]))];
    case "more fuel than there is":
      return [encodeFrame(FRAME.returned, call, Buffer.concat([use(2 ** 40), OK.subarray(12)]))];
    case "more memory than there is":
      return [encodeFrame(FRAME.returned, call, Buffer.concat([use(1, 65_536), OK.subarray(12)]))];
    case "host call after the end":
      return [encodeFrame(FRAME.returned, call, OK), encodeFrame(FRAME.hostCall, call, request)];
    case "log after the end":
      return [
        encodeFrame(FRAME.ended, call, Buffer.concat([use(1), Buffer.from("\0gone")])),
        encodeFrame(FRAME.log, call, Buffer.from("\0x")),
      ];
    case "host call of nobody":
      return [encodeFrame(FRAME.hostCall, 0, request)];
    case "cut frame":
      setImmediate(() => process.exit(0));
      return [encodeFrame(FRAME.returned, call, OK).subarray(0, 12)];
    case "call let go of":
      return [encodeFrame(FRAME.cancelled, call), encodeFrame(FRAME.hostCall, call, request)];
    case "exit":
      process.exit(3);
      return [];
    default:
      return [];
  }
}

/** The call whose answer is not read but for its beginning. */
let unread: number | null = null;

const reader = new FrameReader({
  limit: () => 2 ** 30,
  frame(kind, call) {
    if (kind === FRAME.execute) {
      const bytes = Buffer.concat(lies(call));
      if (lie === "many small frames") for (const byte of bytes) socket.write(Uint8Array.of(byte));
      else socket.write(bytes);
    }
    // A call that is over asks once more before it lets go.
    if (kind === FRAME.cancel && lie === "host call after the deadline")
      socket.write(
        Buffer.concat([encodeFrame(FRAME.hostCall, call, request), encodeFrame(FRAME.cancelled, call)]),
      );
  },
});
function data(_: unknown, chunk: Uint8Array): void {
  if (unread === null) reader.push(chunk);
  else {
    socket.pause();
    socket.write(encodeFrame(FRAME.hostCall, unread, request));
  }
}
const connect = Bun.connect as unknown as (options: object) => Promise<{
  write(bytes: Uint8Array): number;
  pause(): void;
}>; // takes a descriptor too
const socket = await connect({
  fd: 3,
  socket: { data, close: () => process.exit(0) },
});
if (lie === "exit before hello") process.exit(4);
if (lie === "call before hello") socket.write(encodeFrame(FRAME.returned, 1, OK));
if (lie !== "no hello") socket.write(hello);
if (lie === "exit after hello") process.exit(5);
