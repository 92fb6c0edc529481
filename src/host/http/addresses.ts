import { isIP } from "node:net";

/**
 * The IANA IPv4 Special-Purpose Address Registry (RFC 6890) in full, plus multicast (RFC 5771). Blocks that the
 * registry calls globally reachable are here too: they are anycast relays and sinks, never an API.
 */
const SPECIAL_V4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private use
  "100.64.0.0/10", // shared address space
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link local, cloud metadata
  "172.16.0.0/12", // private use
  "192.0.0.0/24", // IETF protocol assignments
  "192.0.2.0/24", // TEST-NET-1
  "192.31.196.0/24", // AS112-v4
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // 6to4 relay anycast, deprecated
  "192.168.0.0/16", // private use
  "192.175.48.0/24", // direct delegation AS112
  "198.18.0.0/15", // benchmarking
  "198.51.100.0/24", // TEST-NET-2
  "203.0.113.0/24", // TEST-NET-3
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, limited broadcast
].map(prefix);

/**
 * The IANA IPv6 Special-Purpose Address Registry within global unicast (2000::/3). Everything outside 2000::/3 is
 * refused without a table: loopback, unspecified, mapped, compatible, 64:ff9b:1::/48, 100::/64, 100:0:0:1::/64,
 * 5f00::/16, fc00::/7, fe80::/10, fec0::/10 and ff00::/8 among it. The one exception is 64:ff9b::/96.
 */
const SPECIAL_V6 = [
  "2001::/23", // IETF protocol assignments: Teredo, benchmarking, ORCHID, AMT and others
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4
  "2620:4f:8000::/48", // direct delegation AS112
  "3fff::/20", // documentation
].map(prefix);

const GLOBAL_UNICAST = prefix("2000::/3");
const MAPPED = prefix("::ffff:0:0/96");
const NAT64 = prefix("64:ff9b::/96");

interface Prefix {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/**
 * Whether an address literal is an ordinary address of the public internet. An IPv4 address inside an IPv6 one is
 * judged too: behind the NAT64 prefix (RFC 6052) it must itself be public; mapped, compatible, 6to4 and Teredo forms
 * are refused with whatever they hold. Text that is no plain literal (a zone, a name) is not public.
 */
export function isPublicAddress(address: string): boolean {
  const bytes = addressBytes(address);
  if (bytes === null) return false;
  if (bytes.length === 4) return !SPECIAL_V4.some((block) => within(bytes, block));
  if (within(bytes, NAT64)) return !SPECIAL_V4.some((block) => within(bytes.subarray(12), block));
  return within(bytes, GLOBAL_UNICAST) && !SPECIAL_V6.some((block) => within(bytes, block));
}

/** Whether two literals name the same place: spelling aside, and a mapped IPv4 address is that IPv4 address. */
export function sameAddress(a: string, b: string): boolean {
  const left = plainBytes(a);
  const right = plainBytes(b);
  return left !== null && right !== null && left.equals(right);
}

/** Whether a literal stands for every address of the machine (`0.0.0.0`, `::`, also mapped). */
export function isUnspecified(address: string): boolean {
  return plainBytes(address)?.every((byte) => byte === 0) ?? false;
}

/** Whether a literal names a group or everybody rather than one machine. */
export function isMulticast(address: string): boolean {
  const bytes = plainBytes(address);
  const first = bytes?.[0] ?? 0;
  return bytes?.length === 4 ? first >= 224 : first === 0xff;
}

/** 4 or 16 bytes; null for anything that is not an address literal, and for one with a zone. */
export function addressBytes(address: string): Buffer | null {
  const family = isIP(address);
  if (family === 0 || address.includes("%")) return null;
  if (family === 4) return Buffer.from(address.split(".").map(Number));
  const dotted = /(?<=:)[0-9.]+$/.exec(address)?.[0] ?? "";
  const hex = dotted.includes(".") ? address.slice(0, -dotted.length) + hexGroups(dotted) : address;
  const [head = "", tail] = hex.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** The IPv4 tail of an IPv6 literal (RFC 4291 §2.2) as two groups. */
function hexGroups(dotted: string): string {
  const hex = Buffer.from(dotted.split(".").map(Number)).toString("hex");
  return `${hex.slice(0, 4)}:${hex.slice(4)}`;
}

function plainBytes(address: string): Buffer | null {
  const bytes = addressBytes(address);
  return bytes !== null && bytes.length === 16 && within(bytes, MAPPED) ? bytes.subarray(12) : bytes;
}

function prefix(text: string): Prefix {
  const [address = "", bits = ""] = text.split("/");
  const bytes = addressBytes(address);
  if (bytes === null) throw new TypeError("not an address prefix");
  return { bytes, bits: Number(bits) };
}

function within(address: Uint8Array, block: Prefix): boolean {
  if (address.length !== block.bytes.length) return false;
  for (let bit = 0; bit < block.bits; bit += 8) {
    const mask = block.bits - bit >= 8 ? 0xff : (0xff << (8 - (block.bits - bit))) & 0xff;
    const at = bit >> 3;
    if (((address[at] ?? 0) & mask) !== ((block.bytes[at] ?? 0) & mask)) return false;
  }
  return true;
}
