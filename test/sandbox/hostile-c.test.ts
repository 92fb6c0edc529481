import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { IngestedComponent, Sandbox } from "../../src/sandbox/index.ts";
import { ingestComponent } from "../../src/sandbox/index.ts";
import { validateComponent } from "../../src/sandbox/validate.ts";
import { requireTool } from "../require-tool.ts";
import { pinOf } from "./build-component.ts";
import { cGuest } from "./c-guest.ts";
import { LIMITS, openSandbox, respond, run, ScriptedDoor } from "./laboratory.ts";

/** Does the evil that the second character of its task names: `"a"` and so on. */
const SOURCE = `
typedef unsigned int u32; typedef unsigned char u8; typedef unsigned long long u64;
__attribute__((import_module("latchgate:provider/io-http@0.1.0"), import_name("request")))
void request(const char*, u32, const char*, u32, const void*, u32, u32, const void*, u32, u32, void*);
__attribute__((import_module("latchgate:provider/io-log@0.1.0"), import_name("log-info")))
void log_info(const char*, u32);
static u8 heap[65536] __attribute__((aligned(16)));
static u32 top, evil_realloc, calls, state;
static u32 area[16], ret[3];
__attribute__((export_name("cabi_realloc"))) void *reallocate(void *old, u32 n, u32 align, u32 size) {
  calls++;
  if (evil_realloc == 1) return (void*)0xfffffff0u;
  if (evil_realloc == 2) return heap + 1 + (top++ & 0);
  if (evil_realloc == 3) { log_info("x", 1); }
  if (evil_realloc == 4) for (;;) { state++; __asm__ volatile("" ::: "memory"); }
  top = (top + align - 1) & -align;
  if (size > sizeof heap - top) __builtin_trap();
  void *at = heap + top; top += size; return at;
}
static void get(const char *url, u32 length, const void *headers, u32 count) {
  request("GET", 3, url, length, headers, count, 0, 0, 0, 0, area);
}
static volatile u32 depth;
__attribute__((noinline)) static u32 deeper(u32 n) { volatile u8 frame[4096]; frame[n & 4095] = n; depth++; return deeper(n + 1) + frame[n & 4095]; }
typedef u32 (*function)(u32);
static u32 *answer(u32 arm, const void *at, u32 length) { ret[0] = arm; ret[1] = (u32)at; ret[2] = length; return ret; }
__attribute__((export_name("execute"))) u32 *execute(const char *task, u32 length) {
  static const char fine[] = "{\\"ok\\":true}";
  switch (length > 1 ? task[1] : 0) {
    case 'a': get((const char*)0xfffffff0u, 0x100, 0, 0); break;
    case 'b': get("https://a.test/", 0xffffffffu, 0, 0); break;
    case 'c': get("https://a.test/", 15, (void*)heap, 0x7fffffffu); break;
    case 'd': get("https://a.test/", 15, (void*)0xfffffffcu, 1); break;
    case 'e': get("\\xff\\xfe\\xc0\\x80", 4, 0, 0); break;
    case 'f': evil_realloc = 1; get("https://a.test/", 15, 0, 0); break;
    case 'g': evil_realloc = 2; get("https://a.test/", 15, 0, 0); break;
    case 'h': evil_realloc = 3; get("https://a.test/", 15, 0, 0); break;
    case 'i': evil_realloc = 4; get("https://a.test/", 15, 0, 0); break;
    case 'j': return answer(0, (void*)0xfffffff0u, 0x100);
    case 'k': return answer(0, fine, 0xffffffffu);
    case 'l': return answer(7, fine, sizeof fine - 1);
    case 'm': return (u32*)0xfffffffcu;
    case 'n': return (u32*)((u8*)ret + 1);
    case 'o': return answer(0, "\\"\\xed\\xa0\\x80\\"", 5);
    case 'p': return answer(1, "\\xff", 1);
    case 'q': deeper(0); break;
    case 'r': ((function)0x7fffffff)(1); break;
    case 's': ((u32 (*)(u64, u64))(void*)deeper)(1, 2); break;
    case 't': for (u32 i = 0; ; i++) ((volatile u8*)0)[i * 65536u] = 1; break;
    case 'u': for (;;) log_info("line", 4); break;
    case 'v': for (;;) get("https://a.test/", 15, 0, 0); break;
    case 'w': request("GET", 3, "https://a.test/", 15, 0, 0, 2, 0, 0, 0, area); break;
    case 'x': request("GET", 3, "https://a.test/", 15, 0, 0, 0, 0, 0, 0, (void*)0xfffffff8u); break;
    case 'y': for (;;) if (__builtin_wasm_memory_grow(0, 1) == (u32)-1) break; __builtin_trap(); break;
    case 'z': state++; if (state != 1 || calls != 1) return answer(1, "state", 5); break;
  }
  return answer(0, fine, sizeof fine - 1);
}
`;

let sandbox: Sandbox;
let component: IngestedComponent;
const withClang = requireTool("clang", "apt-get install clang lld");

beforeAll(async () => {
  sandbox = await openSandbox();
  if (Bun.which("clang") === null) return;
  const bytes = await cGuest(SOURCE);
  component = await ingestComponent({
    bytes,
    pin: pinOf(bytes),
    origin: "operator",
    validate: validateComponent,
  });
  sandbox.register(component);
}, 60_000);
afterAll(() => sandbox.close());

const abi = { status: "trap", kind: "abi" };
const fuel = { status: "fuel_exhausted" };

/** What it does, how it ends, and how often the door was asked. */
const CASES: readonly (readonly [letter: string, does: string, ends: object, asked: number])[] = [
  ["a", "passes text at an address beyond its memory", abi, 0],
  ["b", "passes text of four gigabytes", abi, 0],
  ["c", "passes a list of two thousand million headers", abi, 0],
  ["d", "passes a list across the end of the address space", abi, 0],
  ["e", "passes a url that is not utf-8", abi, 0],
  ["f", "gives the host memory beyond its own", abi, 1],
  ["g", "gives the host memory that is not aligned", abi, 1],
  ["h", "calls the host while the host asks for memory", { status: "trap" }, 1],
  ["i", "spins while the host asks for memory", fuel, 1],
  ["j", "answers from beyond its memory", abi, 0],
  ["k", "answers with four gigabytes", { status: "invalid_output" }, 0],
  ["l", "answers with an arm that there is not", abi, 0],
  ["m", "answers at the end of the address space", abi, 0],
  ["n", "answers at an address that is not aligned", abi, 0],
  ["o", "answers with half a surrogate pair", { status: "invalid_output" }, 0],
  ["p", "fails with what is not utf-8", { status: "invalid_output" }, 0],
  ["q", "recurses through the stack that it keeps in memory", { status: "trap" }, 0],
  ["r", "calls through a pointer that leads nowhere", { status: "trap" }, 0],
  ["s", "calls a function as what it is not", { status: "trap" }, 0],
  ["t", "writes through all of memory and on", { status: "trap", kind: "out_of_bounds" }, 0],
  ["u", "floods the log", fuel, 0],
  ["v", "floods the host with calls", { status: "io_budget_exceeded" }, 3],
  ["w", "passes an option that is neither there nor absent", abi, 0],
  ["x", "wants its answer written beyond its memory", abi, 1],
  ["y", "takes all memory and gives up", { status: "memory_limit" }, 0],
];

describe("a component in C", () => {
  for (const [letter, does, ends, asked] of CASES)
    withClang(`${does}: it ends alone`, async () => {
      const door = new ScriptedDoor(respond(200, "body"));
      const limits = { ...LIMITS, fuel: 3_000_000, memoryMb: 4, ioCalls: 3 };
      const outcome = await run(sandbox, component.digest, { task: `"${letter}"`, limits, door });
      expect(outcome).toMatchObject(ends);
      expect(door.asked).toHaveLength(asked);
      if ("logs" in outcome) expect(outcome.logs.length).toBeLessThanOrEqual(256);
      if ("peakMemoryBytes" in outcome)
        expect(outcome.peakMemoryBytes ?? 0).toBeLessThanOrEqual(4 * 1_048_576);
      expect(await run(sandbox, component.digest, { task: '"z"' })).toMatchObject({ status: "ok" });
    });

  withClang("none of that has cost a runner, but for calls that were under way", () => {
    expect(sandbox.stats().lost).toBeLessThanOrEqual(1);
  });
});
