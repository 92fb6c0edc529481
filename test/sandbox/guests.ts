/** AssemblyScript sources of components that tests run; each is for `buildComponent`. */

const IO_HTTP = `
@external("latchgate:provider/io-http@0.1.0", "request")
declare function request(
  method: usize, methodLen: usize, url: usize, urlLen: usize, headers: usize, headerCount: usize,
  hasBody: u32, body: usize, bodyLen: usize, timeoutMs: u32, result: usize,
): void;
function get(url: string): u32 {
  const method = ascii("GET"), target = ascii(url), result = heap.alloc(24);
  request(method.ptr, method.len, target.ptr, target.len, 0, 0, 0, 0, 0, 0, result);
  return load<u8>(result) == 0 ? <u32>load<u16>(result, 4) : 0;
}
`;

/** Answers with this JSON text (ASCII, no backslashes or backquotes) and asks the host for nothing. */
export function answers(json: string): string {
  return `
import { ascii, ok } from "../lib/abi";
export function execute(ptr: usize, len: usize): usize { return ok(ascii(\`${json}\`)); }
`;
}

/** Whatever its task says, asks the host to GET this URL so many times; answers with the last status, 0 for a refusal. */
export function asksFor(url: string, times = 1): string {
  return `
import { ascii, ok } from "../lib/abi";
import { Writer } from "../lib/json-writer";
${IO_HTTP}
export function execute(ptr: usize, len: usize): usize {
  let status: u32 = 0;
  for (let i = 0; i < ${times}; i++) status = get("${url}");
  return ok(new Writer(64).raw('{"ok":true,"status":').uint(status).raw("}").text());
}
`;
}

/** Never ends and never asks the host for anything. */
export const SPINS = `
export function execute(ptr: usize, len: usize): usize { for (;;) {} return 0; }
`;

/** Counts its calls in a global and in memory; a fresh instance always answers 1 and 1. */
export const REMEMBERS = `
import { ok } from "../lib/abi";
import { Writer } from "../lib/json-writer";
let count: u32 = 0;
const cell = memory.data(4);
export function execute(ptr: usize, len: usize): usize {
  count++;
  store<u32>(cell, load<u32>(cell) + 1);
  return ok(new Writer(64).raw('{"ok":true,"global":').uint(count).raw(',"memory":').uint(load<u32>(cell)).raw("}").text());
}
`;

/** Takes memory in steps of 1 MiB until it has so many, then answers. */
export function takesMemory(megabytes: number): string {
  return `
import { ascii, ok } from "../lib/abi";
export function execute(ptr: usize, len: usize): usize {
  for (let i = 0; i < ${megabytes}; i++) if (memory.grow(16) < 0) unreachable();
  return ok(ascii('{"ok":true}'));
}
`;
}

/** Traps unless it is the first call of its instance, by a global and by memory. */
export const FORGETS = `
import { ascii, ok } from "../lib/abi";
let count: u32 = 0;
const cell = memory.data(4);
export function execute(ptr: usize, len: usize): usize {
  count++;
  store<u32>(cell, load<u32>(cell) + 1);
  if (count != 1 || load<u32>(cell) != 1) unreachable();
  return ok(ascii('{"ok":true}'));
}
`;

/** Writes to so many MiB of its memory and then asks the host, once. */
export function asksWith(megabytes: number): string {
  return `
import { ascii, ok } from "../lib/abi";
${IO_HTTP}
export function execute(ptr: usize, len: usize): usize {
  const at = <usize>memory.grow(${megabytes} * 16) * 65536;
  memory.fill(at, 1, ${megabytes} * 1048576);
  get("https://api.example.com/");
  return ok(ascii('{"ok":true}'));
}
`;
}

/** Answers with a JSON string of so many characters. */
export function answersLength(length: number): string {
  return `
import { Bytes, ok } from "../lib/abi";
export function execute(ptr: usize, len: usize): usize {
  const text = heap.alloc(${length});
  memory.fill(text, 0x61, ${length});
  store<u8>(text, 0x22);
  store<u8>(text + ${length} - 1, 0x22);
  return ok(new Bytes(text, ${length}));
}
`;
}

/** Returns its error arm. */
export const FAILS = `
import { err } from "../lib/abi";
export function execute(ptr: usize, len: usize): usize { return err("it did not work"); }
`;

/** Runs into an unreachable instruction. */
export const TRAPS = `
export function execute(ptr: usize, len: usize): usize { unreachable(); return 0; }
`;

/** Recurses until the stack is gone. */
export const OVERFLOWS = `
function deeper(n: usize): usize { return deeper(n + 1) + 1; }
export function execute(ptr: usize, len: usize): usize { return deeper(len); }
`;

/** Writes so many lines to the log, each of so many bytes. */
export function logs(lines: number, length: number): string {
  return `
import { ascii, ok } from "../lib/abi";
@external("latchgate:provider/io-log@0.1.0", "log-warn")
declare function warn(message: usize, len: usize): void;
export function execute(ptr: usize, len: usize): usize {
  const line = heap.alloc(${length});
  memory.fill(line, 0x0a, ${length});
  for (let i = 0; i < ${lines}; i++) warn(line, ${length});
  return ok(ascii('{"ok":true}'));
}
`;
}

/** Writes its whole task to the log. */
export const LOGS_ITS_TASK = `
import { ascii, ok } from "../lib/abi";
@external("latchgate:provider/io-log@0.1.0", "log-warn")
declare function warn(message: usize, len: usize): void;
export function execute(ptr: usize, len: usize): usize {
  warn(ptr, len);
  return ok(ascii('{"ok":true}'));
}
`;

/** Asks for a mail to be sent. */
export const SENDS_MAIL = `
import { ascii, ok } from "../lib/abi";
@external("latchgate:provider/io-smtp@0.1.0", "send")
declare function send(
  to: usize, toLen: usize, cc: usize, ccLen: usize, bcc: usize, bccLen: usize,
  subject: usize, subjectLen: usize, hasText: u32, text: usize, textLen: usize, hasHtml: u32, html: usize, htmlLen: usize,
  headers: usize, headersLen: usize, result: usize,
): void;
export function execute(ptr: usize, len: usize): usize {
  send(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, heap.alloc(16));
  return ok(ascii('{"ok":true}'));
}
`;

/** Calls itself twice, to a depth that no stack minds and a number of calls that no clock lives to see. */
export const RECURSES = `
let sum: u32 = 0;
function twice(depth: u32): void {
  sum++;
  if (depth == 0) return;
  twice(depth - 1);
  twice(depth - 1);
}
export function execute(ptr: usize, len: usize): usize { twice(200); return sum; }
`;

/** Writes to the log for ever. */
export const LOGS_FOREVER = `
@external("latchgate:provider/io-log@0.1.0", "log-info")
declare function info(message: usize, len: usize): void;
export function execute(ptr: usize, len: usize): usize { for (;;) info(0, 16); return 0; }
`;
