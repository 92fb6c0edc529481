import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ComponentError, ingestComponent, type RunOutcome, type Sandbox } from "../../src/sandbox/index.ts";
import { buildComponent, pinOf } from "../sandbox/build-component.ts";
import { asksFor, logs, REMEMBERS } from "../sandbox/guests.ts";
import { LIMITS, openSandbox, respond, run, ScriptedDoor } from "../sandbox/laboratory.ts";
import { randomFrom } from "../sandbox/meter/metered.ts";

export interface FuzzReport {
  /** By what became of them: a code of `ComponentError`, or the status of a run. */
  readonly ends: ReadonlyMap<string, number>;
  /** Runners that a mutated component has cost. */
  readonly lost: number;
}

const PROVIDERS = join(import.meta.dir, "../../providers");
/** A runner keeps every component that it was given, so it is replaced after so many. */
const PER_SANDBOX = 400;
const FEW = { ...LIMITS, fuel: 200_000, memoryMb: 4, ioCalls: 2, timeoutMs: 2_000 };

/**
 * Mutates valid components, and takes each mutant in and runs it, without the validator that would refuse most of them
 * before: what gets to the reader, the meter, the engine and the canonical ABI here is worse than what an operator could
 * bring. Throws when anything but a refusal or an outcome comes of one. The same seed gives the same mutants.
 */
export async function fuzzComponents(count: number, seed: number): Promise<FuzzReport> {
  const random = randomFrom(seed);
  const bases = await startingPoints();
  const ends = new Map<string, number>();
  let lost = 0;
  let sandbox: Sandbox | null = null;
  try {
    for (let i = 0; i < count; i++) {
      const bytes = mutated(bases[random() % bases.length] ?? new Uint8Array(), random);
      const component = await taken(bytes);
      if (typeof component === "string") {
        ends.set(component, (ends.get(component) ?? 0) + 1);
        continue;
      }
      if (i % PER_SANDBOX === 0 || sandbox === null) {
        lost += sandbox?.stats().lost ?? 0;
        await sandbox?.close();
        sandbox = await openSandbox();
      }
      sandbox.register(component);
      const status = (await outcomeOf(sandbox, component.digest)).status;
      ends.set(status, (ends.get(status) ?? 0) + 1);
    }
    lost += sandbox?.stats().lost ?? 0;
  } finally {
    await sandbox?.close();
  }
  return { ends, lost };
}

async function startingPoints(): Promise<readonly Uint8Array[]> {
  return [
    readFileSync(join(PROVIDERS, "fs/fs.wasm")),
    readFileSync(join(PROVIDERS, "http_api/http_api.wasm")),
    await buildComponent(asksFor("https://a.test/", 2)),
    await buildComponent(logs(3, 10)),
    await buildComponent(REMEMBERS),
  ];
}

/** The component, or the code with which it was refused. */
async function taken(bytes: Uint8Array) {
  try {
    // As built-in: an operator's would get a process of its own, for each of thousands.
    return await ingestComponent({ bytes, pin: pinOf(bytes), origin: "builtin", validate: null });
  } catch (error) {
    if (error instanceof ComponentError) return error.code;
    throw error;
  }
}

function outcomeOf(sandbox: Sandbox, digest: string): Promise<RunOutcome> {
  return run(sandbox, digest, {
    task: '{"operation":"read","path":"a","content_base64":null,"expected_before_hash":null}',
    limits: FEW,
    deadline: performance.now() + FEW.timeoutMs,
    door: new ScriptedDoor(respond(200, "body")),
  });
}

/** Values that readers of the format stumble over: ends of ranges, and codes of sections and instructions. */
const TELLING = [0x00, 0x01, 0x0b, 0x0f, 0x10, 0x3f, 0x40, 0x41, 0x70, 0x7f, 0x80, 0xfc, 0xfd, 0xff];

/** One to four changes: another byte, a flipped bit, bytes taken out, put in, repeated or cut off. */
export function mutated(base: Uint8Array, random: () => number): Uint8Array {
  let bytes = Uint8Array.from(base);
  // Mostly in place, as a part that moves is found out by the lengths around it.
  const kinds = random() % 4 === 0 ? 8 : 5;
  for (let changes = 1 + (random() % 4); changes > 0; changes--) {
    const at = random() % bytes.length;
    const size = 1 + (random() % 8);
    const byte = bytes[at] ?? 0;
    switch (random() % kinds) {
      case 0:
      case 1:
        bytes[at] = random() & 0xff;
        break;
      case 2:
      case 3:
        bytes[at] = TELLING[random() % TELLING.length] ?? 0;
        break;
      case 4:
        bytes[at] = byte ^ (1 << (random() & 7));
        break;
      case 5:
        bytes = spliced(bytes, at, size, new Uint8Array());
        break;
      case 6:
        bytes = spliced(bytes, at, 0, bytes.subarray(at, at + size));
        break;
      default:
        if (random() % 8 === 0) bytes = bytes.slice(0, Math.max(8, at));
        // An integer of five bytes, as large as it gets, in the place of a small one.
        else bytes = spliced(bytes, at, 1, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f));
    }
  }
  return bytes;
}

function spliced(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.subarray(0, at), ...insert, ...bytes.subarray(at + remove)]);
}
