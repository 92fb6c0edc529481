import { renameSync } from "node:fs";

declare const self: Worker;

/** Makes a folder and a link trade places as fast as it can, until it is told to stop. */
self.onmessage = (event: MessageEvent<{ stop: Int32Array; deep: string; link: string; spare: string }>) => {
  const { stop, deep, link, spare } = event.data;
  while (Atomics.load(stop, 0) === 0) {
    renameSync(deep, spare);
    renameSync(link, deep);
    Atomics.add(stop, 1, 1);
    renameSync(deep, link);
    renameSync(spare, deep);
  }
  self.postMessage("stopped");
};
