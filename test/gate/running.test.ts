import { expect, test } from "bun:test";
import { RunningCalls } from "../../src/gate/running.ts";

test("stopping all reaches each call under way, with the reason, and none that begins after", () => {
  const running = new RunningCalls();
  const [first, second] = [running.enter("a"), running.enter("b")];
  running.abortAll("revoked");
  expect([first, second].map((signal) => [signal.aborted, signal.reason])).toEqual([
    [true, "revoked"],
    [true, "revoked"],
  ]);
  expect(running.enter("c").aborted).toBe(false);
  expect(running.size).toBe(3);
});

test("stopping for good reaches also the call that is granted afterwards", () => {
  const running = new RunningCalls();
  const before = running.enter("a");
  running.stop("gate_stopping");
  const after = running.enter("b");
  expect([before.reason, after.reason]).toEqual(["gate_stopping", "gate_stopping"]);
});

test("a call that is over is not stopped any more", () => {
  const running = new RunningCalls();
  const signal = running.enter("a");
  running.leave("a");
  running.abortAll("revoked");
  expect(signal.aborted).toBe(false);
});

test("drained is when the last call has left, and at once where there is none", async () => {
  const running = new RunningCalls();
  await running.drained();
  running.enter("a");
  running.enter("b");
  let drained = false;
  const waiting = running.drained().then(() => {
    drained = true;
  });
  running.leave("a");
  await Promise.resolve();
  expect(drained).toBe(false);
  running.leave("b");
  await waiting;
  expect(drained).toBe(true);
});
