/** C that does the evil named by the letter behind `/do-` in its task, or else by the task's second character. */
export const HOSTILE_C = `
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
static char chosen(const char *task, u32 length) {
  for (u32 i = 0; i + 4 < length; i++)
    if (task[i] == '/' && task[i + 1] == 'd' && task[i + 2] == 'o' && task[i + 3] == '-') return task[i + 4];
  return length > 1 ? task[1] : 0;
}
static u32 *answer(u32 arm, const void *at, u32 length) { ret[0] = arm; ret[1] = (u32)at; ret[2] = length; return ret; }
__attribute__((export_name("execute"))) u32 *execute(const char *task, u32 length) {
  static const char fine[] = "{\\"ok\\":true}";
  switch (chosen(task, length)) {
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
