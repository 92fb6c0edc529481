/** AssemblyScript with nothing but computation in it: each export does so many rounds and answers with a check. */
export const COMPUTES = `
import "../lib/abi";
const K: StaticArray<u32> = [${roundConstants().join()}];
const words = new StaticArray<u32>(64);
const state = new StaticArray<u32>(8);

function rotate(value: u32, by: u32): u32 { return (value >> by) | (value << (32 - by)); }

// One block of SHA-256 (FIPS 180-4), over and over.
export function sha256(rounds: i32): u32 {
  for (let i = 0; i < 8; i++) state[i] = i * 0x9e3779b9;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 16; i++) words[i] = state[i & 7] + round;
    for (let i = 16; i < 64; i++) {
      const a = words[i - 15], b = words[i - 2];
      words[i] = words[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + words[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (let i = 0; i < 64; i++) {
      const t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + words[i];
      const t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
  return state[0];
}

const composite = new StaticArray<u8>(1 << 16);

export function sieve(rounds: i32): u32 {
  let primes: u32 = 0;
  for (let round = 0; round < rounds; round++) {
    memory.fill(changetype<usize>(composite), 0, 1 << 16);
    primes = 0;
    for (let i = 2; i < 1 << 16; i++) {
      if (unchecked(composite[i])) continue;
      primes++;
      for (let j = i * 2; j < 1 << 16; j += i) unchecked((composite[j] = 1));
    }
  }
  return primes;
}

export function fib(n: u32): u32 { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// Writes and reads an array of numbers and strings as JSON text.
const text = new StaticArray<u8>(1 << 16);

export function json(rounds: i32): u32 {
  let check: u32 = 0;
  for (let round = 0; round < rounds; round++) {
    let at = 0;
    unchecked((text[at++] = 0x5b));
    for (let i = 0; i < 2000; i++) {
      if (i > 0) unchecked((text[at++] = 0x2c));
      if (i & 1) {
        unchecked((text[at++] = 0x22));
        for (let j = 0; j < 8; j++) unchecked((text[at++] = <u8>(0x61 + ((i + j) % 26))));
        unchecked((text[at++] = 0x22));
      } else {
        let digits = 1, rest = <u32>(i * 7919 + round);
        for (let left = rest; left >= 10; left /= 10) digits++;
        for (let j = digits; j > 0; j--) { unchecked((text[at + j - 1] = <u8>(0x30 + (rest % 10)))); rest /= 10; }
        at += digits;
      }
    }
    unchecked((text[at++] = 0x5d));
    let read = 1;
    while (unchecked(text[read]) != 0x5d) {
      const first = unchecked(text[read]);
      if (first == 0x22) {
        read++;
        while (unchecked(text[read]) != 0x22) check = check * 31 + unchecked(text[read++]);
        read++;
      } else if (first == 0x2c) read++;
      else {
        let value: u32 = 0;
        while (unchecked(text[read]) >= 0x30 && unchecked(text[read]) <= 0x39) value = value * 10 + unchecked(text[read++]) - 0x30;
        check ^= value;
      }
    }
  }
  return check;
}
`;

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
function roundConstants(): number[] {
  const constants: number[] = [];
  for (let n = 2; constants.length < 64; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
    if (isPrime) constants.push(Math.floor((Math.cbrt(n) % 1) * 2 ** 32));
  }
  return constants;
}
