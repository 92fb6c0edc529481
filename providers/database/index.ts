// One statement, exactly as the task has it. The host has planned and granted that very statement and refuses any other,
// so nothing here decides anything.
import { Bytes, bytesAt, err, ok, reallocate } from "../lib/abi";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";

// prettier-ignore
@external("latchgate:provider/io-database@0.1.0", "execute-query")
declare function executeQuery(
  connection: usize, connectionLen: usize, statement: usize, statementLen: usize,
  parameters: usize, parameterCount: usize, result: usize,
): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

/** Bytes of one `parameter`: the case of its kind, then the text. */
const PARAMETER: usize = 12;

class Parameters {
  ptr: usize = 0;
  count: usize = 0;
  private capacity: usize = 0;

  add(kind: u8, value: Bytes): void {
    if (this.count == this.capacity) {
      const capacity: usize = this.capacity == 0 ? 16 : this.capacity * 2;
      this.ptr = reallocate(this.ptr, this.count * PARAMETER, 4, capacity * PARAMETER);
      this.capacity = capacity;
    }
    const at = this.ptr + this.count * PARAMETER;
    store<u8>(at, kind);
    store<usize>(at, value.ptr, 4);
    store<usize>(at, value.len, 8);
    this.count++;
  }
}

export function execute(ptr: usize, len: usize): usize {
  let connection: Bytes | null = null;
  let statement: Bytes | null = null;
  const parameters = new Parameters();

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("connection")) connection = task.string();
    else if (name.is("statement")) statement = task.string();
    else if (name.is("parameters")) {
      task.expect(0x5b);
      for (let none = true; task.more(0x5d, none); none = false) {
        task.expect(0x5b);
        const kind = kindOf(task.string());
        task.expect(0x2c);
        parameters.add(kind, task.string());
        task.expect(0x5d);
      }
    } else return err("the task has a member that database does not take");
  }
  task.done();
  if (connection === null || statement === null) return err("the task needs connection and statement");

  // result<{ rows: u64, affected: u64, rows-json: string }, string>: the discriminant, then the payload at 8.
  const result = heap.alloc(32);
  executeQuery(
    connection.ptr,
    connection.len,
    statement.ptr,
    statement.len,
    parameters.ptr,
    parameters.count,
    result,
  );
  return load<u8>(result) == 0 ? answered(result) : refused(bytesAt(result + 8));
}

function answered(result: usize): usize {
  const rows = bytesAt(result + 24);
  const out = new Writer(rows.len + 128);
  out.raw('{"ok":true,"row_count":').uint(load<u64>(result, 8));
  out.raw(',"affected":').uint(load<u64>(result, 16));
  out.raw(',"rows":').json(rows).raw("}");
  return ok(out.text());
}

function refused(code: Bytes): usize {
  const out = new Writer(256);
  out.raw('{"ok":false,"error":{"code":').string(code);
  out.raw(',"message":"the host refused the statement or could not complete it"}}');
  logDebug(code.ptr, code.len);
  return ok(out.text());
}

/** The cases of `parameter-kind`, in their order. */
function kindOf(name: Bytes): u8 {
  if (name.is("null")) return 0;
  if (name.is("boolean")) return 1;
  if (name.is("integer")) return 2;
  if (name.is("decimal")) return 3;
  if (name.is("text")) return 4;
  if (name.is("bytes")) return 5;
  if (name.is("json")) return 6;
  return unreachable();
}

export { reallocate as cabi_realloc };
