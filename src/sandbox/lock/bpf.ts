/**
 * Classic BPF, as far as seccomp(2) filters need it. A program runs over one `struct seccomp_data`: the number of the
 * system call, the architecture, the instruction pointer and six arguments of 64 bits, little-endian.
 */
export type Step =
  /** Loads the 32-bit word at this offset of `struct seccomp_data`. */
  | { readonly load: number }
  /** Compares the loaded word and goes on at the label where it holds, at the next step where not. */
  | { readonly when: Comparison; readonly k: number; readonly go: string }
  | { readonly label: string }
  /** The verdict: an action of seccomp(2) with its data. */
  | { readonly verdict: number };

export type Comparison = "equal" | "different" | "atLeast" | "anyBit";

/** Offsets in `struct seccomp_data`. */
export const DATA = {
  number: 0,
  arch: 4,
  low: (argument: number) => 16 + 8 * argument,
  high: (argument: number) => 20 + 8 * argument,
} as const;

/** Seccomp's verdicts, linux/seccomp.h. */
export const VERDICT = {
  killProcess: 0x8000_0000,
  allow: 0x7fff_0000,
  errno: (errno: number) => 0x0005_0000 | errno,
} as const;

// linux/bpf_common.h
const LOAD_WORD = 0x20;
const JUMP = { equal: 0x15, atLeast: 0x35, anyBit: 0x45 } as const;
const RETURN = 0x06;

/** Bytes of one `struct sock_filter`: code u16, jt u8, jf u8, k u32. */
export const INSTRUCTION_BYTES = 8;
/** linux/bpf_common.h, BPF_MAXINSNS. */
const MOST_INSTRUCTIONS = 4096;

/** Throws RangeError for a label that is not ahead, or too far ahead for the eight bits of a jump. */
export function assemble(steps: readonly Step[]): Uint8Array<ArrayBuffer> {
  const places = new Map<string, number>();
  let count = 0;
  for (const step of steps)
    if ("label" in step) {
      if (places.has(step.label)) throw new RangeError(`label ${step.label} stands twice`);
      places.set(step.label, count);
    } else count++;
  if (count === 0 || count > MOST_INSTRUCTIONS) throw new RangeError(`${count} instructions`);
  const program = new Uint8Array(count * INSTRUCTION_BYTES);
  const view = new DataView(program.buffer);
  let at = 0;
  const emit = (code: number, taken: number, notTaken: number, k: number) => {
    view.setUint16(at * INSTRUCTION_BYTES, code, true);
    view.setUint8(at * INSTRUCTION_BYTES + 2, taken);
    view.setUint8(at * INSTRUCTION_BYTES + 3, notTaken);
    view.setUint32(at * INSTRUCTION_BYTES + 4, k, true);
    at++;
  };
  for (const step of steps) {
    if ("load" in step) emit(LOAD_WORD, 0, 0, step.load);
    else if ("verdict" in step) emit(RETURN, 0, 0, step.verdict);
    else if ("when" in step) {
      const far = distance(places, step.go, at);
      if (step.when === "different") emit(JUMP.equal, 0, far, step.k);
      else emit(JUMP[step.when], far, 0, step.k);
    }
  }
  return program;
}

/** How many instructions a jump at `from` leaves out. Classic BPF jumps forward alone. */
function distance(places: ReadonlyMap<string, number>, label: string, from: number): number {
  const to = places.get(label);
  const far = to === undefined ? -1 : to - from - 1;
  if (far < 0 || far > 255) throw new RangeError(`label ${label} is not within reach`);
  return far;
}
