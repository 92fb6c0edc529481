/** Lets other calls run before a long piece of work goes on. */
export function turn(): Promise<void> {
  return new Promise((next) => setImmediate(next));
}
