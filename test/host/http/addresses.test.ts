import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  addressBytes,
  isMulticast,
  isPublicAddress,
  isUnspecified,
  sameAddress,
} from "../../../src/host/http/addresses.ts";

// First and last address of each block, and the neighbours that are still ordinary.
const REFUSED_V4 = [
  "0.0.0.0 0.255.255.255",
  "10.0.0.0 10.255.255.255",
  "100.64.0.0 100.127.255.255",
  "127.0.0.0 127.255.255.255",
  "169.254.0.0 169.254.169.254 169.254.255.255",
  "172.16.0.0 172.31.255.255",
  "192.0.0.0 192.0.0.9 192.0.0.255",
  "192.0.2.0 192.0.2.255",
  "192.31.196.0 192.31.196.255",
  "192.52.193.0 192.52.193.255",
  "192.88.99.0 192.88.99.255",
  "192.168.0.0 192.168.255.255",
  "192.175.48.0 192.175.48.255",
  "198.18.0.0 198.19.255.255",
  "198.51.100.0 198.51.100.255",
  "203.0.113.0 203.0.113.255",
  "224.0.0.0 239.255.255.255",
  "240.0.0.0 255.255.255.255",
].flatMap((line) => line.split(" "));

const PUBLIC_V4 = [
  "1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0",
  "169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.88.98.255",
  "192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 203.0.112.255 203.0.114.0",
  "223.255.255.255",
].flatMap((line) => line.split(" "));

const REFUSED_V6 = [
  ":: ::1 ::2 ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::ffff:a00:1 ::8.8.8.8 ::127.0.0.1 ::ffff:0:8.8.8.8",
  "64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b::169.254.169.254 64:ff9b:1::8.8.8.8 64:ff9b:0:1::8.8.8.8",
  "100:: 100:0:0:1::1 1fff:ffff::1 2001::1 2001:0:808:808:: 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1",
  "2001:db8::1 2002:7f00:1:: 2002:808:808:: 2620:4f:8000::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1",
  "fc00::1 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1",
].flatMap((line) => line.split(" "));

const PUBLIC_V6 = [
  "2000::1 2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2606:4700:4700::1111",
  "2620:4f:7fff::1 2620:4f:8001::1 3ffe:ffff::1 3fff:1000::1 64:ff9b::8.8.8.8 64:ff9b::808:808",
].flatMap((line) => line.split(" "));

test("every block of the special-purpose registries is refused, to its edges", () => {
  for (const address of [...REFUSED_V4, ...REFUSED_V6])
    expect([address, isPublicAddress(address)]).toEqual([address, false]);
});

test("the neighbours of those blocks are public", () => {
  for (const address of [...PUBLIC_V4, ...PUBLIC_V6])
    expect([address, isPublicAddress(address)]).toEqual([address, true]);
});

test("what is not a plain address literal is not public", () => {
  for (const text of [
    "",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
    "8.8.8.8.",
    "fe80::1%eth0",
    "2606::1%1",
  ])
    expect([text, isPublicAddress(text)]).toEqual([text, false]);
});

test("spellings of one address are the same address, and a mapped one is its IPv4 address", () => {
  expect(sameAddress("2001:DB8:0::1", "2001:db8::0:1")).toBe(true);
  expect(sameAddress("::ffff:127.0.0.1", "127.0.0.1")).toBe(true);
  expect(sameAddress("::127.0.0.1", "127.0.0.1")).toBe(false);
  expect(sameAddress("127.0.0.1", "127.0.0.2")).toBe(false);
  expect(sameAddress("", "")).toBe(false);
});

test("an IPv4 address is judged alike by itself and behind NAT64, and never public when mapped", () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const hex = (addressBytes(address) ?? Buffer.alloc(0)).toString("hex");
      const tail = `${hex.slice(0, 4)}:${hex.slice(4)}`;
      expect(isPublicAddress(`64:ff9b::${tail}`)).toBe(isPublicAddress(address));
      expect(isPublicAddress(`::ffff:${tail}`)).toBe(false);
      expect(sameAddress(`::ffff:${tail}`, address)).toBe(true);
    }),
    { seed: 1 },
  );
});

test("any spelling of an IPv6 address gives its bytes", () => {
  const bytes = (text: string) => addressBytes(text)?.toString("hex");
  expect(bytes("::")).toBe("0".repeat(32));
  expect(bytes("1:2:3:4:5:6:7:8")).toBe("00010002000300040005000600070008");
  expect(bytes("1:2:3:4:5:6:1.2.3.4")).toBe("00010002000300040005000601020304");
  expect(bytes("64:FF9B:0:1::8.8.8.8")).toBe("0064ff9b000000010000000008080808");
  expect(bytes("1::8")).toBe(`0001${"0".repeat(24)}0008`);
  expect(bytes("1:2:3:4:5:6:7::")).toBe("00010002000300040005000600070000");
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      expect(addressBytes(address)?.length).toBe(16);
    }),
    { seed: 1 },
  );
});

test("wildcard and group addresses are told apart from machines", () => {
  expect(["0.0.0.0", "::", "::ffff:0.0.0.0"].map(isUnspecified)).toEqual([true, true, true]);
  expect(["127.0.0.1", "::1"].map(isUnspecified)).toEqual([false, false]);
  expect(["224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"].map(isMulticast)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(["10.0.0.1", "fe80::1"].map(isMulticast)).toEqual([false, false]);
});
