/** One more call that a group of runners has room for: promised before the call is granted, kept until it runs. */
export class Place implements Disposable {
  private give: (() => void) | null;

  /** @param give called once, when the place is taken or not needed any more */
  constructor(give: () => void) {
    this.give = give;
  }

  /** Gives the place back; a second time changes nothing. */
  [Symbol.dispose](): void {
    this.give?.();
    this.give = null;
  }
}
