// One operation on one file, exactly as the task has it. The host has planned and granted that very operation and
// refuses any other, so nothing here decides anything.
import { Bytes, ascii, bytesAt, err, ok, reallocate } from "../lib/abi";
import { decodeBase64, encodedSize } from "../lib/base64";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";

@external("latchgate:provider/io-fs@0.1.0", "read")
declare function hostRead(path: usize, pathLen: usize, result: usize): void;

// prettier-ignore
@external("latchgate:provider/io-fs@0.1.0", "write")
declare function hostWrite(
  path: usize, pathLen: usize, content: usize, contentLen: usize, mode: u32,
  hasHash: u32, hash: usize, hashLen: usize, result: usize,
): void;

@external("latchgate:provider/io-fs@0.1.0", "delete")
declare function hostDelete(path: usize, pathLen: usize, result: usize): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

const CREATE: u32 = 0;
const OVERWRITE: u32 = 1;

export function execute(ptr: usize, len: usize): usize {
  let operation: Bytes | null = null;
  let path: Bytes | null = null;
  let content: Bytes | null = null;
  let expected: Bytes | null = null;

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("operation")) operation = task.string();
    else if (name.is("path")) path = task.string();
    else if (name.is("content_base64")) {
      const text = task.stringOrNull();
      if (text !== null) {
        content = decodeBase64(text);
        if (content === null) return failed("invalid_content");
      }
    } else if (name.is("expected_before_hash")) {
      const text = task.stringOrNull();
      if (text !== null) {
        expected = decodeHex(text);
        if (expected === null) return err("expected_before_hash is not 64 digits of hex");
      }
    } else return err("the task has a member that fs does not take");
  }
  task.done();
  if (operation === null || path === null) return err("the task needs operation and path");
  logDebug(operation.ptr, operation.len);
  if (operation.is("read")) return read(path);
  if (operation.is("delete")) return remove(path);
  if (content === null) return failed("invalid_content");
  if (operation.is("create")) return write(path, content, CREATE, expected);
  if (operation.is("overwrite")) return write(path, content, OVERWRITE, expected);
  return err("operation is none of read, create, overwrite, delete");
}

/** result<{ content: list, hash: list, size-bytes: u64 }, fs-error>: the payload is at 8. */
function read(path: Bytes): usize {
  const result = heap.alloc(32);
  hostRead(path.ptr, path.len, result);
  if (load<u8>(result) != 0) return failed(errorCode(load<u8>(result, 8)));
  const content = bytesAt(result + 8);
  const out = new Writer(encodedSize(content.len) + path.len * 6 + 256);
  out.raw('{"ok":true,"path":').string(path);
  out.raw(',"size_bytes":').uint(load<u64>(result, 24));
  out.raw(',"hash":').digest(bytesAt(result + 16));
  out.raw(',"content_base64":').base64(content).raw("}");
  return ok(out.text());
}

/**
 * result<{ before-hash: option<list>, after-hash: list, bytes-before: u64, bytes-written: u64 }, fs-error>: the
 * payload is at 8.
 */
function write(path: Bytes, content: Bytes, mode: u32, expected: Bytes | null): usize {
  const result = heap.alloc(48);
  const hash = expected === null ? new Bytes(0, 0) : expected;
  const hasHash = expected === null ? 0 : 1;
  hostWrite(path.ptr, path.len, content.ptr, content.len, mode, hasHash, hash.ptr, hash.len, result);
  if (load<u8>(result) != 0) return failed(errorCode(load<u8>(result, 8)));
  const out = new Writer(path.len * 6 + 512);
  out.raw('{"ok":true,"path":').string(path);
  out.raw(',"after_hash":').digest(bytesAt(result + 20));
  out.raw(',"bytes_written":').uint(load<u64>(result, 40));
  if (load<u8>(result, 8) != 0) {
    out.raw(',"before_hash":').digest(bytesAt(result + 12));
    out.raw(',"bytes_before":').uint(load<u64>(result, 32));
  }
  return ok(out.raw("}").text());
}

/** result<{ ok: bool }, fs-error>: the payload is at 1. */
function remove(path: Bytes): usize {
  const result = heap.alloc(2);
  hostDelete(path.ptr, path.len, result);
  if (load<u8>(result) != 0) return failed(errorCode(load<u8>(result, 1)));
  const out = new Writer(path.len * 6 + 64);
  return ok(out.raw('{"ok":true,"path":').string(path).raw(',"deleted":true}').text());
}

function failed(code: string): usize {
  const out = new Writer(256);
  out.raw('{"ok":false,"error":{"code":"').raw(code);
  out.raw('","message":"the host refused the operation or could not complete it"}}');
  const line = ascii(code);
  logDebug(line.ptr, line.len);
  return ok(out.text());
}

/** The cases of `fs-error`, in their order. */
function errorCode(index: u8): string {
  switch (index) {
    case 0:
      return "operation_not_allowed";
    case 1:
      return "path_not_allowed";
    case 2:
      return "path_denied";
    case 3:
      return "path_not_found";
    case 4:
      return "path_invalid";
    case 5:
      return "already_exists";
    case 6:
      return "too_large";
    case 7:
      return "symlink_escape";
    case 8:
      return "traversal";
    case 9:
      return "special_file";
    case 10:
      return "conflict";
    case 11:
      return "invalid_content";
    default:
      return "io_error";
  }
}

function decodeHex(text: Bytes): Bytes | null {
  if (text.len != 64) return null;
  const out = heap.alloc(32);
  for (let i: usize = 0; i < 64; i++) {
    const c = load<u8>(text.ptr + i);
    let digit: u8;
    if (c >= 0x30 && c <= 0x39) digit = c - 0x30;
    else if (c >= 0x61 && c <= 0x66) digit = c - 0x57;
    else return null;
    const at = out + (i >> 1);
    store<u8>(at, i & 1 ? load<u8>(at) | digit : digit << 4);
  }
  return new Bytes(out, 32);
}

export { reallocate as cabi_realloc };
