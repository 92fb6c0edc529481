// The probe's worker thread: older than the lock, so that it shows whether the lock reached every thread.
import { attempt, forbiddenActs } from "../lock/acts.ts";
import { openKernel } from "../lock/kernel.ts";

declare const self: Worker;

const kernel = openKernel();
const acts = forbiddenActs(process.ppid);

self.onmessage = ({ data }: MessageEvent<string | null>) => {
  const chosen = acts.filter(({ name }) => data === null || name === data);
  postMessage(chosen.map((act) => [act.name, attempt(kernel, act)]));
};
postMessage("ready");
