/**
 * JavaScript that does what its task's `do` names, or else the word behind `/do-` in its url; one component serves every
 * test, as making one takes seconds.
 */
export const TASK_SCRIPT = `
import { request } from "latchgate:provider/io-http@0.1.0";
import { logWarn } from "latchgate:provider/io-log@0.1.0";
let calls = 0;
const kept = [];
function sum(n) { return n === 0 ? 0 : 1 + sum(n - 1); }
const tasks = {
  get: ({ url, headers = [["accept", "text/plain"]] }) => {
    const answer = request({ method: "GET", url, headers, body: undefined, timeoutMs: 0 });
    return { status: answer.status, body: Array.from(answer.body), headers: answer.headers };
  },
  refused: ({ url }) => {
    try {
      request({ method: "POST", url, headers: [], body: Uint8Array.of(1, 2), timeoutMs: 5 });
    } catch (error) {
      return { refusal: error.payload ?? String(error) };
    }
  },
  count: () => ({ calls: ++calls }),
  clock: () => ({ now: Date.now(), random: [Math.random(), Math.random()] }),
  text: ({ text }) => ({ text, length: [...text].length }),
  spin: () => { for (;;); },
  storm: () => {
    for (;;) try { request({ method: "GET", url: "http://a.test/", headers: [], timeoutMs: 0 }); } catch {}
  },
  logs: () => { for (;;) logWarn("again"); },
  hog: () => { for (;;) kept.push(new Uint8Array(1048576).fill(1)); },
  deep: () => sum(1e9),
  large: ({ length }) => "x".repeat(length),
  fail: () => { throw "it did not work"; },
  code: () => ({ evaluated: (0, eval)("6 * 7"), process: typeof globalThis.process, fetch: typeof globalThis.fetch, require: typeof globalThis.require }),
};
export function execute(text) {
  const task = JSON.parse(text);
  const name = task.do ?? /\\/do-([a-z]+)/.exec(task.url)[1];
  return JSON.stringify(tasks[name](task));
}
`;
