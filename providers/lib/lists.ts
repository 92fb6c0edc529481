import { reallocate } from "./abi";
import { Reader } from "./json-reader";

/** Bytes of one string in a list: its pointer and its length. */
const TEXT: usize = 8;

/** `list<string>`, read from a JSON array of texts. */
export class Texts {
  ptr: usize = 0;
  count: usize = 0;
  private capacity: usize = 0;

  static read(task: Reader): Texts {
    const texts = new Texts();
    task.expect(0x5b);
    for (let none = true; task.more(0x5d, none); none = false) texts.add(task);
    return texts;
  }

  private add(task: Reader): void {
    if (this.count == this.capacity) {
      const capacity: usize = this.capacity == 0 ? 16 : this.capacity * 2;
      this.ptr = reallocate(this.ptr, this.count * TEXT, 4, capacity * TEXT);
      this.capacity = capacity;
    }
    const text = task.string();
    store<usize>(this.ptr + this.count * TEXT, text.ptr);
    store<usize>(this.ptr + this.count * TEXT, text.len, 4);
    this.count++;
  }
}

/** `list<tuple<string, string>>`, read from a JSON array of arrays of two texts. */
export class Pairs {
  ptr: usize = 0;
  count: usize = 0;
  private capacity: usize = 0;

  static read(task: Reader): Pairs {
    const pairs = new Pairs();
    task.expect(0x5b);
    for (let none = true; task.more(0x5d, none); none = false) {
      task.expect(0x5b);
      pairs.add(task);
      task.expect(0x5d);
    }
    return pairs;
  }

  private add(task: Reader): void {
    const pair: usize = TEXT * 2;
    if (this.count == this.capacity) {
      const capacity: usize = this.capacity == 0 ? 16 : this.capacity * 2;
      this.ptr = reallocate(this.ptr, this.count * pair, 4, capacity * pair);
      this.capacity = capacity;
    }
    const name = task.string();
    task.expect(0x2c);
    const value = task.string();
    const at = this.ptr + this.count * pair;
    store<usize>(at, name.ptr);
    store<usize>(at, name.len, 4);
    store<usize>(at, value.ptr, 8);
    store<usize>(at, value.len, 12);
    this.count++;
  }
}
