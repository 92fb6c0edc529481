import { createSocket } from "node:dgram";
import { isIP } from "node:net";

export type RecordType = "A" | "AAAA" | "CNAME";

/** One answer record; `name` defaults to the question's. */
export interface DnsRecord {
  readonly type: RecordType;
  readonly value: string;
  readonly ttl?: number;
  readonly name?: string;
}

export type DnsReply = { readonly records: readonly DnsRecord[]; readonly rcode?: number } | "silence";

/** Decides one answer. `asked` counts earlier questions for the same name and type, from 0. */
export type DnsScript = (name: string, type: RecordType, asked: number) => DnsReply;

export interface DnsServer {
  /** `127.0.0.1:port`, as `Resolver.setServers` takes it. */
  readonly server: string;
  /** Every question so far, as `name type`. */
  readonly questions: readonly string[];
  close(): void;
}

const TYPES: Readonly<Record<number, RecordType>> = { 1: "A", 5: "CNAME", 28: "AAAA" };
const CODES: Readonly<Record<RecordType, number>> = { A: 1, CNAME: 5, AAAA: 28 };

export const NXDOMAIN = 3;
export const SERVFAIL = 2;

/** A DNS server (RFC 1035 §4) on a loopback UDP port that answers as the script says. */
export function startDns(script: DnsScript): Promise<DnsServer> {
  const socket = createSocket("udp4");
  const questions: string[] = [];
  socket.on("message", (query, from) => {
    const [name, end] = readName(query, 12);
    const type = TYPES[query.readUInt16BE(end)];
    if (type === undefined) return;
    const key = `${name} ${type}`;
    const asked = questions.filter((question) => question === key).length;
    questions.push(key);
    const reply = script(name, type, asked);
    if (reply === "silence") return;
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8180 | (reply.rcode ?? 0), 2); // a response, recursion desired and available
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(reply.records.length, 6);
    const records = reply.records.map((record) => encodeRecord(record, name));
    socket.send(Buffer.concat([head, query.subarray(12, end + 4), ...records]), from.port, from.address);
  });
  return new Promise((resolve) => {
    socket.bind(0, "127.0.0.1", () => {
      resolve({
        server: `127.0.0.1:${socket.address().port}`,
        questions,
        close: () => socket.close(),
      });
    });
  });
}

/** Answers from a table: `{ "api.example": ["203.0.113.5", "::1"] }`; other names do not exist. */
export function table(names: Readonly<Record<string, readonly string[]>>, ttl = 60): DnsScript {
  return (name, type) => {
    const addresses = names[name];
    if (addresses === undefined) return { records: [], rcode: NXDOMAIN };
    const family = type === "AAAA" ? 6 : 4;
    return {
      records: addresses.filter((value) => isIP(value) === family).map((value) => ({ type, value, ttl })),
    };
  };
}

function readName(message: Buffer, start: number): [name: string, end: number] {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = message.readUInt8(at++);
    if (length === 0) return [labels.join(".").toLowerCase(), at];
    labels.push(message.toString("latin1", at, at + length));
    at += length;
  }
}

function encodeName(name: string): Buffer {
  const labels = name
    .split(".")
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function encodeRecord(record: DnsRecord, question: string): Buffer {
  const data =
    record.type === "CNAME"
      ? encodeName(record.value)
      : record.type === "A"
        ? Buffer.from(record.value.split(".").map(Number))
        : ipv6Bytes(record.value);
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(CODES[record.type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(record.ttl ?? 60, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(record.name ?? question), fixed, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
