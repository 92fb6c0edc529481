/** A map of bounded size that drops the entry that was used least recently. */
export class LruMap<K, V> {
  readonly capacity: number;
  private readonly entries = new Map<K, V>();

  /** @param capacity most entries kept, at least 1 */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError("capacity must be a positive integer");
    this.capacity = capacity;
  }

  get size(): number {
    return this.entries.size;
  }

  /** The value, which becomes the most recently used. */
  get(key: K): V | undefined {
    const value = this.entries.get(key);
    if (value === undefined) return undefined;
    this.entries.delete(key);
    this.entries.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    if (!this.entries.delete(key) && this.entries.size >= this.capacity) {
      const oldest = this.oldest();
      if (oldest !== undefined) this.entries.delete(oldest[0]);
    }
    this.entries.set(key, value);
  }

  /** The least recently used entry; looking does not use it. */
  oldest(): readonly [K, V] | undefined {
    return this.entries.entries().next().value;
  }

  delete(key: K): boolean {
    return this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
  }
}
