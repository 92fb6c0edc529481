import { messageOf } from "../core/errors.ts";

/** What a start has opened so far, so that one which fails leaves nothing behind. */
export class Opened {
  private readonly report: (line: string) => void;
  private readonly closers: (() => unknown)[] = [];

  /** @param report told of what could not be closed; the rest is closed all the same */
  constructor(report: (line: string) => void) {
    this.report = report;
  }

  /** Remembers how to close what has just been opened, or is about to be. */
  add(close: () => unknown): void {
    this.closers.push(close);
  }

  /**
   * For what opens beside other stages: it is waited for and then closed. Why it did not open, if so, is told to the stage
   * that awaits it.
   */
  addOpening<T>(opening: Promise<T>, close: (opened: T) => unknown): void {
    opening.catch(() => undefined);
    this.add(() => opening.then(close, () => undefined));
  }

  /** Closes everything, the last first, each when the one before is closed. */
  async closeAll(): Promise<void> {
    for (let close = this.closers.pop(); close !== undefined; close = this.closers.pop())
      try {
        await close();
      } catch (error) {
        this.report(messageOf(error));
      }
  }
}
