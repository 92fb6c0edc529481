/** A clock that is set back: the log says so, keeps its order, and nothing lives longer for it. */
import { afterEach, expect, test } from "bun:test";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import { forwardClock } from "../../src/core/clock.ts";
import { judge, payloadOf, readRows, rewriteRows } from "./forge.ts";
import { type ScratchLog, scratchLog, task } from "./scratch-log.ts";

const logs: ScratchLog[] = [];
afterEach(() => {
  for (const log of logs.splice(0)) log.remove();
});
function fresh(): ScratchLog {
  const log = scratchLog();
  logs.push(log);
  return log;
}
const HOUR = 3_600_000;
const types = (log: ScratchLog) => readRows(log.ledger).map((row) => payloadOf(row).type);
const verdict = (log: ScratchLog) => judge(readRows(log.ledger), log.writer.keys.current("evidence").kid);

test("set back: one entry says so before the next one; entries keep the clock's time, expiry goes by the latest", async () => {
  const log = fresh();
  await log.writer.run([task("stop", "a")]);
  const [before] = (await log.writer.run([task("read")])) as [number];
  log.advance(-HOUR);
  const [during] = (await log.writer.run([task("read"), task("stop", "b")])) as [number];
  expect(during).toBeGreaterThanOrEqual(before);
  await log.writer.run([task("stop", "c")]);
  log.advance(2 * HOUR);
  await log.writer.run([task("stop", "d")]);
  log.advance(-HOUR);
  await log.writer.run([task("stop", "e")]);
  expect(types(log)).toEqual([
    "log.opened",
    "gate.stopped",
    "clock.regressed",
    "gate.stopped",
    "gate.stopped",
    "gate.stopped",
    "clock.regressed",
    "gate.stopped",
  ]);
  const [, , regressed, b] = readRows(log.ledger).map(payloadOf);
  expect(Date.parse(b?.time as string)).toBeLessThan(Date.parse(regressed?.high_water as string));
  expect(verdict(log)).toMatchObject({ verdict: "intact", clock_regressions: 5 });
  log.abandon();
});

test("a restart forgets neither the time of entries nor that of a log that wrote none", async () => {
  const log = fresh();
  await log.writer.run([task("stop", "a")]);
  log.advance(HOUR);
  // No entry: the mark alone remembers this hour.
  const [late] = (await log.writer.run([task("read")])) as [number];
  const again = log.reopen();
  expect(again.writer.highWater).toBe(late);
  const [now] = (await again.writer.run([task("read")])) as [number];
  expect(now).toBe(late);
  again.abandon();
});

test("verify: a clock that went back in silence is damage, and so is a tale of one that did not", async () => {
  const log = fresh();
  await log.writer.run([task("stop", "a")]);
  await log.writer.run([task("stop", "b")]);
  const edited = (at: number, change: (payload: Record<string, unknown>) => void) =>
    judge(
      rewriteRows(readRows(log.ledger), {
        keys: log.keys,
        edit: (text, seq) => {
          const payload = JSON.parse(text) as Record<string, unknown>;
          if (seq === at) change(payload);
          return canonicalJson(payload as never); // parsed from json
        },
      }),
      log.writer.keys.current("evidence").kid,
    );
  const silent = edited(2, (payload) => {
    payload.time = "2020-01-01T00:00:00.000Z";
  });
  expect(silent.damage.rules).toBe(1);
  log.advance(-HOUR);
  await log.writer.run([task("stop", "c")]);
  expect(edited(3, () => undefined).damage.rules).toBeUndefined();
  const tale = edited(3, (payload) => {
    payload.high_water = payload.time;
  });
  expect(tale.damage.rules).toBe(1);
  log.abandon();
});

test("verify: each part of a tale about the clock counts, and it covers no later step back", async () => {
  const tell = async (...steps: readonly (number | string)[]) => {
    const log = fresh();
    await log.writer.run([task("stop", "a")]);
    const [, latest] = (await log.writer.run([task("stop", "b"), task("read")])) as [unknown, number];
    for (const step of steps) {
      if (typeof step === "number") log.advance(step);
      else if (step === "stop") await log.writer.run([task("stop", "c")]);
      else {
        const high_water = new Date(latest + Number(step)).toISOString();
        await log.writer.run([task("say", { type: "clock.regressed", body: { high_water } })]);
      }
    }
    const { kid } = log.writer.keys.current("evidence");
    log.abandon();
    return judge(readRows(log.ledger), kid).damage;
  };
  expect(await tell("stop")).toEqual({});
  // It went on, past the mark that it is said to stand before.
  expect(await tell(1000, "500")).toEqual({ rules: 1 });
  // Its mark stands before what the log has seen; the writer's own tale of the same step is right.
  expect(await tell(-HOUR, "-60000")).toEqual({ rules: 1 });
  // The writer tells of the first step; the second is made in silence.
  const log = fresh();
  await log.writer.run([task("stop", "a")]);
  log.advance(-HOUR);
  await log.writer.run([task("stop", "b")]);
  log.advance(2 * HOUR);
  await log.writer.run([task("stop", "c")]);
  await log.writer.run([task("stop", "d")]);
  const rows = readRows(log.ledger);
  const silent = rewriteRows(rows, {
    keys: log.keys,
    edit: (text, seq) => (seq === rows.length - 1 ? text.replace(/"time":"20\d\d/, '"time":"2020') : text),
  });
  const { kid } = log.writer.keys.current("evidence");
  expect(judge(rows, kid).damage).toEqual({});
  // The column of the time is left as it was.
  expect(judge(silent, kid).damage).toEqual({ projection: 1, rules: 1 });
  log.abandon();
});

test("any walk of the clock: what the writer announces is what the verifier asks for", async () => {
  const log = fresh();
  let state = 42;
  for (let i = 0; i < 200; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    log.advance((state % 4001) - 2000);
    await log.writer.run([state % 3 === 0 ? task("read") : task("stop", String(i))]);
  }
  expect(verdict(log)).toMatchObject({ verdict: "intact" });
  log.abandon();
});

test("the gate's own clock never goes back, and starts where the log was", () => {
  let wall = 1000;
  const clock = forwardClock({ now: () => wall, monotonic: () => 1 }, 5000);
  expect(clock.now()).toBe(5000);
  wall = 6000;
  expect(clock.now()).toBe(6000);
  wall = 10;
  expect(clock.now()).toBe(6000);
});
