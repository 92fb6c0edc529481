// One HTTP request, exactly as the task has it. The host has planned and granted that very request and refuses any
// other, so nothing here decides anything.
import { Bytes, bytesAt, err, ok, reallocate } from "../lib/abi";
import { decodeBase64, encodedSize } from "../lib/base64";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";

// prettier-ignore
@external("latchgate:provider/io-http@0.1.0", "request")
declare function request(
  method: usize, methodLen: usize, url: usize, urlLen: usize, headers: usize, headerCount: usize,
  hasBody: u32, body: usize, bodyLen: usize, timeoutMs: u32, result: usize,
): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

/** Bytes of one `tuple<string, string>`. */
const HEADER: usize = 16;

class Headers {
  ptr: usize = 0;
  count: usize = 0;
  private capacity: usize = 0;

  add(name: Bytes, value: Bytes): void {
    if (this.count == this.capacity) {
      const capacity: usize = this.capacity == 0 ? 16 : this.capacity * 2;
      this.ptr = reallocate(this.ptr, this.count * HEADER, 4, capacity * HEADER);
      this.capacity = capacity;
    }
    const at = this.ptr + this.count * HEADER;
    store<usize>(at, name.ptr);
    store<usize>(at, name.len, 4);
    store<usize>(at, value.ptr, 8);
    store<usize>(at, value.len, 12);
    this.count++;
  }
}

export function execute(ptr: usize, len: usize): usize {
  let method: Bytes | null = null;
  let url: Bytes | null = null;
  let body: Bytes | null = null;
  let timeoutMs: u32 = 0;
  const headers = new Headers();

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("method")) method = task.string();
    else if (name.is("url")) url = task.string();
    else if (name.is("timeout_ms")) timeoutMs = task.uint();
    else if (name.is("headers")) {
      task.expect(0x5b);
      for (let none = true; task.more(0x5d, none); none = false) {
        task.expect(0x5b);
        const header = task.string();
        task.expect(0x2c);
        headers.add(header, task.string());
        task.expect(0x5d);
      }
    } else if (name.is("body_base64")) {
      const text = task.stringOrNull();
      if (text !== null) {
        body = decodeBase64(text);
        if (body === null) return err("body_base64 is not base64");
      }
    } else return err("the task has a member that http_api does not take");
  }
  task.done();
  if (method === null || url === null) return err("the task needs method and url");

  // result<{ status: u16, headers: list, body: list }, string>: the discriminant, then the payload at 4.
  const result = heap.alloc(24);
  request(
    method.ptr,
    method.len,
    url.ptr,
    url.len,
    headers.ptr,
    headers.count,
    body !== null ? 1 : 0,
    body !== null ? body.ptr : 0,
    body !== null ? body.len : 0,
    timeoutMs,
    result,
  );
  return load<u8>(result) == 0 ? answered(method, result) : refused(bytesAt(result + 4));
}

function answered(method: Bytes, result: usize): usize {
  const status = load<u16>(result, 4);
  const headers = load<usize>(result, 8);
  const count = load<usize>(result, 12);
  const body = bytesAt(result + 16);
  const success = status >= 200 && status < 300;

  let size = encodedSize(body.len) + 256;
  for (let i: usize = 0; i < count; i++) {
    const at = headers + i * HEADER;
    size += (load<usize>(at, 4) + load<usize>(at, 12)) * 6 + 8;
  }
  const out = new Writer(size);
  out.raw(success ? '{"ok":true,"status":' : '{"ok":false,"status":').uint(status).raw(',"headers":[');
  for (let i: usize = 0; i < count; i++) {
    const at = headers + i * HEADER;
    out.raw(i == 0 ? "[" : ",[").string(bytesAt(at)).raw(",").string(bytesAt(at + 8)).raw("]");
  }
  out.raw('],"body_base64":').base64(body);
  if (!success) out.raw(',"error":{"code":"http_status","message":"the server answered ').uint(status).raw('"}');
  out.raw("}");

  const line = new Writer(64);
  // The url stays out of the log: its path and query may carry what only the receipt's hash should know.
  line.raw("answered ").uint(status).raw(" to ").string(method);
  const text = line.text();
  logDebug(text.ptr, text.len);
  return ok(out.text());
}

function refused(code: Bytes): usize {
  const out = new Writer(256);
  out.raw('{"ok":false,"error":{"code":').string(code);
  out.raw(',"message":"the host refused the request or could not complete it"}}');
  const line = new Writer(64);
  line.raw("no answer: ").string(code);
  const text = line.text();
  logDebug(text.ptr, text.len);
  return ok(out.text());
}

export { reallocate as cabi_realloc };
