// One object put or got, exactly as the task has it. The host has planned and granted that very operation and refuses any
// other, so nothing here decides anything.
import { Bytes, bytesAt, err, ok, reallocate } from "../lib/abi";
import { decodeBase64, encodedSize } from "../lib/base64";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";

// prettier-ignore
@external("latchgate:provider/io-storage@0.1.0", "put-object")
declare function putObject(
  connection: usize, connectionLen: usize, bucket: usize, bucketLen: usize, key: usize, keyLen: usize,
  content: usize, contentLen: usize, hasType: u32, type: usize, typeLen: usize, ifNoneMatch: u32,
  hasMatch: u32, match: usize, matchLen: usize, result: usize,
): void;

// prettier-ignore
@external("latchgate:provider/io-storage@0.1.0", "get-object")
declare function getObject(
  connection: usize, connectionLen: usize, bucket: usize, bucketLen: usize, key: usize, keyLen: usize, result: usize,
): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

const NOTHING = new Bytes(0, 0);

export function execute(ptr: usize, len: usize): usize {
  let operation: Bytes | null = null;
  let connection: Bytes | null = null;
  let bucket: Bytes | null = null;
  let key: Bytes | null = null;
  let content: Bytes | null = null;
  let type: Bytes | null = null;
  let match: Bytes | null = null;
  let ifNoneMatch = false;

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("operation")) operation = task.string();
    else if (name.is("connection")) connection = task.string();
    else if (name.is("bucket")) bucket = task.string();
    else if (name.is("key")) key = task.string();
    else if (name.is("content_base64")) {
      const text = task.stringOrNull();
      if (text !== null) {
        content = decodeBase64(text);
        if (content === null) return err("content_base64 is not base64");
      }
    } else if (name.is("content_type")) type = task.stringOrNull();
    else if (name.is("if_none_match")) ifNoneMatch = task.bool();
    else if (name.is("if_match")) match = task.stringOrNull();
    else return err("the task has a member that storage does not take");
  }
  task.done();
  if (operation === null || connection === null || bucket === null || key === null)
    return err("the task needs operation, connection, bucket and key");
  logDebug(operation.ptr, operation.len);
  if (operation.is("get")) return get(connection, bucket, key);
  if (!operation.is("put") || content === null) return err("operation is get, or put with content");
  const typed = type === null ? NOTHING : type;
  const matched = match === null ? NOTHING : match;

  // result<{ etag: string, content-hash: list, bytes-written: u64 }, string>: the payload is at 8.
  const result = heap.alloc(32);
  putObject(
    connection.ptr,
    connection.len,
    bucket.ptr,
    bucket.len,
    key.ptr,
    key.len,
    content.ptr,
    content.len,
    type === null ? 0 : 1,
    typed.ptr,
    typed.len,
    ifNoneMatch ? 1 : 0,
    match === null ? 0 : 1,
    matched.ptr,
    matched.len,
    result,
  );
  if (load<u8>(result) != 0) return refused(bytesAt(result + 8));
  const out = new Writer(1024);
  out.raw('{"ok":true,"etag":').string(bytesAt(result + 8));
  out.raw(',"hash":').digest(bytesAt(result + 16));
  return ok(out.raw(',"bytes_written":').uint(load<u64>(result, 24)).raw("}").text());
}

/** result<{ content: list, content-type: option<string>, etag: string, hash: list }, string>: the payload is at 4. */
function get(connection: Bytes, bucket: Bytes, key: Bytes): usize {
  const result = heap.alloc(40);
  getObject(connection.ptr, connection.len, bucket.ptr, bucket.len, key.ptr, key.len, result);
  if (load<u8>(result) != 0) return refused(bytesAt(result + 4));
  const content = bytesAt(result + 4);
  const out = new Writer(encodedSize(content.len) + 2048);
  out.raw('{"ok":true,"etag":').string(bytesAt(result + 24));
  out.raw(',"content_type":');
  if (load<u8>(result, 12) == 0) out.raw("null");
  else out.string(bytesAt(result + 16));
  out.raw(',"hash":').digest(bytesAt(result + 32));
  return ok(out.raw(',"content_base64":').base64(content).raw("}").text());
}

function refused(code: Bytes): usize {
  const out = new Writer(256);
  out.raw('{"ok":false,"error":{"code":').string(code);
  out.raw(',"message":"the host refused the operation or could not complete it"}}');
  logDebug(code.ptr, code.len);
  return ok(out.text());
}

export { reallocate as cabi_realloc };
