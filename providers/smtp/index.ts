// One message, exactly as the task has it. The host has planned and granted that very message and refuses any other, so
// nothing here decides anything.
import { Bytes, bytesAt, err, ok, reallocate } from "../lib/abi";
import { Pairs, Texts } from "../lib/lists";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";

// prettier-ignore
@external("latchgate:provider/io-smtp@0.1.0", "send")
declare function send(
  to: usize, toCount: usize, cc: usize, ccCount: usize, bcc: usize, bccCount: usize, subject: usize, subjectLen: usize,
  hasText: u32, text: usize, textLen: usize, hasHtml: u32, html: usize, htmlLen: usize, headers: usize, headerCount: usize,
  result: usize,
): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

export function execute(ptr: usize, len: usize): usize {
  let to: Texts | null = null;
  let cc: Texts | null = null;
  let bcc: Texts | null = null;
  let subject: Bytes | null = null;
  let text: Bytes | null = null;
  let html: Bytes | null = null;
  let headers: Pairs | null = null;

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("to")) to = Texts.read(task);
    else if (name.is("cc")) cc = Texts.read(task);
    else if (name.is("bcc")) bcc = Texts.read(task);
    else if (name.is("subject")) subject = task.string();
    else if (name.is("text")) text = task.stringOrNull();
    else if (name.is("html")) html = task.stringOrNull();
    else if (name.is("headers")) headers = Pairs.read(task);
    else return err("the task has a member that smtp does not take");
  }
  task.done();
  if (to === null || cc === null || bcc === null || subject === null || headers === null)
    return err("the task needs to, cc, bcc, subject and headers");

  // result<{ message-id: string, accepted: u32 }, string>: the discriminant, then the payload at 4.
  const result = heap.alloc(16);
  send(
    to.ptr,
    to.count,
    cc.ptr,
    cc.count,
    bcc.ptr,
    bcc.count,
    subject.ptr,
    subject.len,
    text !== null ? 1 : 0,
    text !== null ? text.ptr : 0,
    text !== null ? text.len : 0,
    html !== null ? 1 : 0,
    html !== null ? html.ptr : 0,
    html !== null ? html.len : 0,
    headers.ptr,
    headers.count,
    result,
  );
  return load<u8>(result) == 0 ? sent(result) : refused(bytesAt(result + 4));
}

function sent(result: usize): usize {
  const out = new Writer(512);
  out.raw('{"ok":true,"message_id":').string(bytesAt(result + 4));
  return ok(out.raw(',"accepted":').uint(load<u32>(result, 12)).raw("}").text());
}

function refused(code: Bytes): usize {
  const out = new Writer(256);
  out.raw('{"ok":false,"error":{"code":').string(code);
  out.raw(',"message":"the host refused the message or could not deliver it to everybody"}}');
  logDebug(code.ptr, code.len);
  return ok(out.text());
}

export { reallocate as cabi_realloc };
