import { INSTRUCTION_BYTES } from "../../../src/sandbox/lock/bpf.ts";

/** One `struct seccomp_data`. */
export interface Call {
  readonly number: number;
  readonly arch?: number;
  readonly args?: readonly bigint[];
}

export const ARCH_X64 = 0xc000_003e;

/** Runs a filter the way the kernel does, written from the kernel's documentation and not from the assembler. */
export function run(program: Uint8Array, { number, arch = ARCH_X64, args = [] }: Call): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setInt32(0, number, true);
  data.setUint32(4, arch, true);
  for (const [at, value] of args.entries()) data.setBigUint64(16 + 8 * at, BigInt.asUintN(64, value), true);
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  for (let pc = 0; pc < program.byteLength / INSTRUCTION_BYTES; pc++) {
    const at = pc * INSTRUCTION_BYTES;
    const [jt, jf, k] = [code.getUint8(at + 2), code.getUint8(at + 3), code.getUint32(at + 4, true)];
    const jump = (holds: boolean) => {
      pc += holds ? jt : jf;
    };
    switch (code.getUint16(at, true)) {
      case 0x20: // BPF_LD | BPF_W | BPF_ABS
        accumulator = data.getUint32(k, true);
        break;
      case 0x15: // BPF_JMP | BPF_JEQ | BPF_K
        jump(accumulator === k);
        break;
      case 0x35: // BPF_JMP | BPF_JGE | BPF_K
        jump(accumulator >= k);
        break;
      case 0x45: // BPF_JMP | BPF_JSET | BPF_K
        jump((accumulator & k) !== 0);
        break;
      case 0x06: // BPF_RET | BPF_K
        return k;
      default:
        throw new Error(`no instruction ${code.getUint16(at, true)}`);
    }
  }
  throw new Error("the program has no end");
}
