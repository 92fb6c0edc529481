// The probe's worker thread: older than the lock, so that it shows whether the lock reached every thread.
import { attempt, chosenActs } from "../lock/acts.ts";
import { openKernel } from "../lock/kernel.ts";

declare const self: Worker;

const kernel = openKernel();
const parent = process.ppid;

self.onmessage = ({ data }: MessageEvent<string | null>) => {
  postMessage(chosenActs(parent, data).map((act) => [act.name, attempt(kernel, act)]));
};
postMessage("ready");
