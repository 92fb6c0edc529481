// One message, exactly as the task has it. The host has planned and granted that very message and refuses any other, so
// nothing here decides anything.
import { Bytes, bytesAt, err, ok, reallocate } from "../lib/abi";
import { decodeBase64 } from "../lib/base64";
import { Reader } from "../lib/json-reader";
import { Writer } from "../lib/json-writer";
import { Pairs } from "../lib/lists";

// prettier-ignore
@external("latchgate:provider/io-queue@0.1.0", "publish")
declare function publish(
  connection: usize, connectionLen: usize, exchange: usize, exchangeLen: usize, key: usize, keyLen: usize,
  payload: usize, payloadLen: usize, type: usize, typeLen: usize, headers: usize, headerCount: usize, result: usize,
): void;

@external("latchgate:provider/io-log@0.1.0", "log-debug")
declare function logDebug(message: usize, len: usize): void;

export function execute(ptr: usize, len: usize): usize {
  let connection: Bytes | null = null;
  let exchange: Bytes | null = null;
  let key: Bytes | null = null;
  let payload: Bytes | null = null;
  let type: Bytes | null = null;
  let headers: Pairs | null = null;

  const task = new Reader(new Bytes(ptr, len));
  task.expect(0x7b);
  for (let first = true; task.more(0x7d, first); first = false) {
    const name = task.name();
    if (name.is("connection")) connection = task.string();
    else if (name.is("exchange")) exchange = task.string();
    else if (name.is("routing_key")) key = task.string();
    else if (name.is("payload_base64")) payload = decodeBase64(task.string());
    else if (name.is("content_type")) type = task.string();
    else if (name.is("headers")) headers = Pairs.read(task);
    else return err("the task has a member that queue does not take");
  }
  task.done();
  if (connection === null || exchange === null || key === null || type === null || headers === null)
    return err("the task needs connection, exchange, routing_key, content_type and headers");
  if (payload === null) return err("payload_base64 is not base64");

  // result<{ message-id: string }, string>: the discriminant, then the payload at 4.
  const result = heap.alloc(12);
  publish(
    connection.ptr,
    connection.len,
    exchange.ptr,
    exchange.len,
    key.ptr,
    key.len,
    payload.ptr,
    payload.len,
    type.ptr,
    type.len,
    headers.ptr,
    headers.count,
    result,
  );
  const said = bytesAt(result + 4);
  const out = new Writer(512);
  if (load<u8>(result) == 0) return ok(out.raw('{"ok":true,"message_id":').string(said).raw("}").text());
  out.raw('{"ok":false,"error":{"code":').string(said);
  out.raw(',"message":"the host refused the message, or the broker did not take it"}}');
  logDebug(said.ptr, said.len);
  return ok(out.text());
}

export { reallocate as cabi_realloc };
